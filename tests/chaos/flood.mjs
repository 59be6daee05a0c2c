/* A client that fills up others who do not read. */
import { PROTOCOL, WebSocket } from '../e2e/client.mjs';

const TEXT = 'x'.repeat(60000);
/* More than a client's queue takes, so that a target that reads nothing is found out. */
const UNANSWERED_MAX = 8;
const BUFFERED_MAX_BYTES = 4 * 1024 * 1024;
const BREATH_MS = 10;

/* Sends long messages to each target until it has taken `most`, or one of them had another outcome
 * than an ack. Returns how often each outcome was heard. */
export async function flood(url, userId, targets, most) {
    const socket = new WebSocket(`${url}/?userId=${userId}`, [PROTOCOL], {
        perMessageDeflate: false,
    });
    await new Promise((resolve, reject) => {
        socket.once('open', resolve);
        socket.once('error', reject);
    });
    const states = new Map(targets.map((to) => [to, { sent: 0, unanswered: 0, isDone: false }]));
    const outcomes = {};
    try {
        await new Promise((resolve, reject) => {
            socket.once('close', (code) => reject(new Error(`${userId}: closed with ${code}`)));
            socket.on('message', (bytes) => {
                note(JSON.parse(bytes.toString()), states, outcomes);
                if ([...states.values()].every(({ isDone }) => isDone)) {
                    resolve();
                }
            });
            pump(socket, states, most);
        });
    } finally {
        socket.removeAllListeners('close');
        socket.terminate();
    }
    return outcomes;
}

function note({ type, code, to }, states, outcomes) {
    if (type !== 'ack' && type !== 'error') {
        return;
    }
    const outcome = code ?? type;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    const state = states.get(to);
    state.unanswered--;
    state.isDone ||= outcome !== 'ack' || (state.isSpent && state.unanswered === 0);
}

/* Sends what may be sent, and comes back for more while anybody is not done. */
function pump(socket, states, most) {
    let isOpen = false;
    for (const [to, state] of states) {
        while (
            !state.isDone &&
            state.sent < most &&
            state.unanswered < UNANSWERED_MAX &&
            socket.bufferedAmount < BUFFERED_MAX_BYTES
        ) {
            state.unanswered++;
            const message = { type: 'call-offer', to, id: ++state.sent, text: TEXT };
            socket.send(JSON.stringify(message));
            state.isSpent = state.sent === most;
        }
        isOpen ||= !state.isDone;
    }
    if (isOpen && socket.readyState === WebSocket.OPEN) {
        setTimeout(() => pump(socket, states, most), BREATH_MS);
    }
}

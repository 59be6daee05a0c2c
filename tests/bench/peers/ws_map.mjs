/* What a user would write with `ws`: a Map of users, JSON parsed and made anew. Nothing clever. */
import { WebSocketServer } from 'ws';

import { listening } from './listening.mjs';

const users = new Map();
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });

server.on('connection', (socket, request) => {
    const userId = new URL(request.url, 'ws://localhost').searchParams.get('userId');
    users.set(userId, socket);

    socket.on('message', (data) => {
        const message = JSON.parse(data);
        const target = users.get(message.to);
        if (target) {
            target.send(JSON.stringify({ ...message, from: userId }));
        } else {
            const { to, id } = message;
            socket.send(JSON.stringify({ type: 'error', code: 'user-offline', to, id }));
        }
    });

    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
        if (users.get(userId) === socket) {
            users.delete(userId);
        }
    });
});

server.on('listening', () => listening(server.address().port));

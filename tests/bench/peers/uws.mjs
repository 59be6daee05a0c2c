/* The same relay as ws_map.mjs with uWebSockets.js, where somebody has put that in node_modules. */
import { createRequire } from 'node:module';

import { listening } from './listening.mjs';

const uws = createRequire(import.meta.url)('uWebSockets.js');
const users = new Map();
const decoder = new TextDecoder();

const app = uws.App().ws('/*', {
    upgrade(response, request, context) {
        response.upgrade(
            { userId: request.getQuery('userId') },
            request.getHeader('sec-websocket-key'),
            request.getHeader('sec-websocket-protocol'),
            request.getHeader('sec-websocket-extensions'),
            context,
        );
    },
    open(socket) {
        users.set(socket.getUserData().userId, socket);
    },
    message(socket, data) {
        const message = JSON.parse(decoder.decode(data));
        const target = users.get(message.to);
        if (target) {
            target.send(JSON.stringify({ ...message, from: socket.getUserData().userId }));
        } else {
            const { to, id } = message;
            socket.send(JSON.stringify({ type: 'error', code: 'user-offline', to, id }));
        }
    },
    close(socket) {
        const { userId } = socket.getUserData();
        if (users.get(userId) === socket) {
            users.delete(userId);
        }
    },
});

app.listen('127.0.0.1', 0, (token) => listening(uws.us_socket_local_port(token)));

/* PeerJS's own server, as it comes but for how many may connect. */
import { PeerServer } from 'peer';

import { listening } from './listening.mjs';

const options = { host: '127.0.0.1', port: 0, concurrent_limit: 1000000 };

const app = PeerServer(options, (server) => listening(server.address().port));
app.on('error', () => {}); /* connections that were reset */

/* Stands between the broker and one gateway: takes the place of the broker's socket for that slot
 * and passes on what comes, until it is told to cut. The gateway has to be started anew to find it. */
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import net from 'node:net';

export class LinkProxy {
    static async start(path) {
        const proxy = new LinkProxy(path);
        renameSync(path, proxy.brokerPath);
        proxy.server.listen(path);
        await once(proxy.server, 'listening');
        return proxy;
    }

    constructor(path) {
        this.brokerPath = `${path}.broker`;
        this.pairs = new Set();
        this.cuts = 0;
        this.server = net.createServer((gateway) => this.#onGateway(gateway));
    }

    #onGateway(gateway) {
        const broker = net.connect(this.brokerPath);
        const pair = { sockets: [gateway, broker], bytesLeft: Infinity };
        this.pairs.add(pair);
        this.#forward(pair, gateway, broker);
        this.#forward(pair, broker, gateway);
    }

    #forward(pair, from, to) {
        from.on('error', () => {}); /* what follows is `close` */
        from.on('close', () => this.#end(pair));
        from.on('data', (chunk) => {
            const part = chunk.subarray(0, pair.bytesLeft);
            if (part.length < chunk.length) {
                to.write(part, () => this.#end(pair));
                from.pause();
                return;
            }
            pair.bytesLeft -= part.length;
            if (!to.write(part)) {
                from.pause();
                to.once('drain', () => from.resume());
            }
        });
    }

    #end(pair) {
        this.pairs.delete(pair);
        pair.sockets.forEach((socket) => socket.destroy());
    }

    /* Ends the connection now. */
    cut() {
        this.cuts += this.pairs.size;
        this.pairs.forEach((pair) => this.#end(pair));
    }

    /* Ends it after that many more bytes, most likely in the middle of a batch. */
    cutAfter(bytes) {
        this.cuts += this.pairs.size;
        this.pairs.forEach((pair) => (pair.bytesLeft = bytes));
    }

    close() {
        this.cut();
        this.server.close();
    }
}

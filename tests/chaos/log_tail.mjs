/* The lines of a log file as they are written, each with the moment at which we saw it: the log
 * itself has no times. */
import { closeSync, fstatSync, openSync, readSync, watch } from 'node:fs';
import { basename } from 'node:path';

import { now } from './clock.mjs';

export class LogTail {
    constructor(path) {
        this.name = basename(path);
        this.fd = openSync(path, 'r');
        this.at = fstatSync(this.fd).size;
        this.rest = '';
        this.lines = []; /* { text, at } */
        this.waiters = new Set();
        this.watcher = watch(path, () => this.#read());
    }

    #read() {
        const size = fstatSync(this.fd).size;
        if (size <= this.at) {
            return;
        }
        const chunk = Buffer.alloc(size - this.at);
        this.at += readSync(this.fd, chunk, 0, chunk.length, this.at);
        const lines = (this.rest + chunk.toString()).split('\n');
        this.rest = lines.pop();
        const at = now();
        this.lines.push(...lines.map((text) => ({ text, at })));
        this.waiters.forEach((look) => look());
    }

    /* A place in the log; waitFor then looks behind it only. */
    mark() {
        return this.lines.length;
    }

    /* When the first line behind `mark` was seen that `pattern` fits; waits for it. */
    async waitFor(pattern, mark, patienceMs = 20000) {
        let look;
        let timer;
        const found = new Promise((resolve, reject) => {
            look = () => {
                const line = this.lines.slice(mark).find(({ text }) => pattern.test(text));
                if (line) {
                    resolve(line.at);
                }
            };
            timer = setTimeout(
                () => reject(new Error(`no ${pattern} in ${this.name}`)),
                patienceMs,
            );
        });
        this.waiters.add(look);
        look();
        return found.finally(() => {
            this.waiters.delete(look);
            clearTimeout(timer);
        });
    }

    close() {
        this.watcher.close();
        closeSync(this.fd);
    }
}

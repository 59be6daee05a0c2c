/* Processes as the kernel tells of them. */
import { readFileSync, readdirSync } from 'node:fs';

const TICKS_PER_S = 100; /* the unit of /proc/PID/stat, the same on all Linux machines */

function read(path) {
    try {
        return readFileSync(path, 'latin1');
    } catch {
        return ''; /* it has ended meanwhile */
    }
}

function allPids() {
    return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
}

/* { name, parent, cpuMs }, or null if there is no such process; the name is cut at 15 bytes. */
export function statOf(pid) {
    const stat = read(`/proc/${pid}/stat`);
    const end = stat.lastIndexOf(')');
    if (end < 0) {
        return null;
    }
    const fields = stat.slice(end + 2).split(' ');
    return {
        name: stat.slice(stat.indexOf('(') + 1, end),
        parent: Number(fields[1]),
        cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S,
    };
}

/* The children of a process, as { pid, name, words }; words are its command line. */
export function childrenOf(parent) {
    const children = [];
    for (const pid of allPids()) {
        const stat = statOf(pid);
        if (stat?.parent === parent) {
            const words = read(`/proc/${pid}/cmdline`).split('\0');
            children.push({ pid: Number(pid), name: stat.name, words });
        }
    }
    return children;
}

function bytesIn(path, name) {
    const match = read(path).match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'));
    return match ? Number(match[1]) * 1024 : 0;
}

export function residentBytes(pid) {
    return bytesIn(`/proc/${pid}/status`, 'VmRSS');
}

/* What is shared with others counts by its share, so that the sum over processes is true. */
export function proportionalBytes(pid) {
    return bytesIn(`/proc/${pid}/smaps_rollup`, 'Pss');
}

/* What the machine could still give away, kernel memory considered. */
export function availableBytes() {
    return bytesIn('/proc/meminfo', 'MemAvailable');
}

export function descriptorCount(pid) {
    return readdirSync(`/proc/${pid}/fd`).length;
}

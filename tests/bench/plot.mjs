/* Line charts as SVG: small, and readable on light and on dark ground. */

const WIDTH = 720;
const HEIGHT = 360;
const PLOT = { left: 64, right: 704, top: 64, bottom: 308 };
const TICKS = 5;
const STYLE = `
text{font:12px system-ui,sans-serif;fill:#57606a}
.title{font-size:14px;font-weight:600;fill:#1f2328}
.grid{stroke:#d0d7de;stroke-width:1}
path,.bar{fill:none;stroke-width:2}
.bar{stroke-width:1;opacity:.6}
.c0{stroke:#6e7781}.c1{stroke:#0969da}.c2{stroke:#bc4c00}.c3{stroke:#1a7f37}.c4{stroke:#8250df}
@media(prefers-color-scheme:dark){
text{fill:#9198a1}.title{fill:#f0f6fc}.grid{stroke:#3d444d}
.c0{stroke:#9198a1}.c1{stroke:#4493f8}.c2{stroke:#f0883e}.c3{stroke:#3fb950}.c4{stroke:#ab7df8}
}`.replaceAll('\n', '');

function escaped(text) {
    return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

function round(value) {
    return Math.round(value * 10) / 10;
}

/* 1500 as "1.5k": what stands at an axis must be short. */
export function short(value) {
    const units = [
        [1e6, 'M'],
        [1e3, 'k'],
    ];
    const [size, unit] = units.find(([least]) => Math.abs(value) >= least) ?? [1, ''];
    return `${Number((value / size).toPrecision(3))}${unit}`;
}

/* Round steps from 0 to at least `max`. */
export function linearTicks(max) {
    const rough = max / TICKS;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * size >= rough) * size;
    return Array.from({ length: Math.ceil(max / step - 1e-9) + 1 }, (_, i) => i * step);
}

/* Powers of ten around the values. */
export function logTicks(min, max) {
    const first = Math.floor(Math.log10(min));
    const last = Math.max(Math.ceil(Math.log10(max)), first + 1);
    return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

function scale(from, to, low, high, isLog) {
    const at = isLog ? Math.log : (value) => value;
    const width = at(high) - at(low) || 1;
    return (value) => round(from + ((at(value) - at(low)) / width) * (to - from));
}

function label(text, x, y, anchor = 'middle') {
    return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escaped(text)}</text>`;
}

/* A dashed line is a solid one's companion and has its name. */
function legend(series) {
    let x = PLOT.left;
    return series
        .filter(({ isDashed }) => !isDashed)
        .map(({ name, color }) => {
            const stroke = `<path class="c${color}" d="M${x} 44h20"/>`;
            const label = `<text x="${x + 26}" y="48">${escaped(name)}</text>`;
            x += 50 + name.length * 7;
            return stroke + label;
        });
}

function line({ points, color, isDashed }, x, y) {
    const through = points
        .map((point, i) => `${i ? 'L' : 'M'}${x(point.x)} ${y(point.y)}`)
        .join('');
    const bars = points
        .filter(({ min, max }) => max > min)
        .map((point) => `M${x(point.x)} ${y(point.min)}V${y(point.max)}`)
        .map((path) => `<path class="bar c${color}" d="${path}"/>`);
    const dash = isDashed ? ' stroke-dasharray="5 4"' : '';
    return [`<path class="c${color}" d="${through}"${dash}/>`, ...bars];
}

/* What has a place on a logarithmic axis. */
function positive({ points, ...series }) {
    const some = points.filter(({ y }) => y > 0);
    return {
        ...series,
        points: some.map((each) => ({ ...each, min: Math.max(each.min, each.y / 10) })),
    };
}

/* `series`: [{ name, color: 0 to 4, isDashed, points: [{ x, y, min, max }] }]; x is logarithmic, and
 * so is y if `isLog`. A bar at a point is where its runs lie. */
export function lineChart({ title, xLabel, yLabel, series: all, isLog = false }) {
    const series = isLog ? all.map(positive) : all;
    const points = series.flatMap((each) => each.points);
    const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
    const highest = Math.max(...points.map(({ y, max = y }) => max));
    const lowest = Math.min(...points.map(({ y, min = y }) => min));
    const ticks = isLog ? logTicks(lowest, highest) : linearTicks(highest);
    const x = scale(PLOT.left, PLOT.right - 24, xs[0], xs.at(-1), true);
    const y = scale(PLOT.bottom, PLOT.top, ticks[0], ticks.at(-1), isLog);
    const middle = (PLOT.left + PLOT.right) / 2;
    return [
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
        `<title>${escaped(title)}</title><style>${STYLE}</style>`,
        `<text class="title" x="${PLOT.left}" y="22">${escaped(title)}</text>`,
        ...legend(series),
        ...ticks.map((tick) => `<path class="grid" d="M${PLOT.left} ${y(tick)}H${PLOT.right}"/>`),
        ...ticks.map((tick) => label(short(tick), PLOT.left - 8, y(tick) + 4, 'end')),
        ...xs.map((at) => label(short(at), x(at), PLOT.bottom + 20)),
        label(xLabel, middle, HEIGHT - 8),
        `<g transform="translate(16 186)rotate(-90)">${label(yLabel, 0, 0)}</g>`,
        ...series.flatMap((each) => line(each, x, y)),
        '</svg>',
        '',
    ].join('\n');
}

// Lists and makes the mutants of kernel sources, for mutate.sh.
//
//   node scripts/mutate.mjs list FILE...        one line each: name, line number, the line, tab-separated
//   node scripts/mutate.mjs apply FILE NAME     the mutated source, on stdout
//
// A mutant takes away one thing from device code: a barrier, the wait for copies, or a guard of bounds. A guard is one
// comparison of order in an `if`, in the condition of `?:`, in a bool's definition or in what a function returns, the
// second argument of min(), or the bound of a loop that strides by threads. Names are file:hash of the line:kind, so
// that they last while the line does.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

const ORDER = / (<|<=|>|>=) /;
// Both sides known when compiled: not a guard of anything.
const CONSTANT = /^[\s()!\d*+/%-]*(((typename )?(\w+::)*k[A-Z]\w*|[A-Z][A-Za-z]?\b|sizeof\(\w+\)|\d+)[\s()\d*+/%-]*)*$/;

/** The source with comments and strings blanked, every offset and newline kept. */
function blanked(source) {
  return source.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"/g, (text) => text.replace(/[^\n]/g, ' '));
}

/** Ranges [from, to) of functions that run on the device. */
function deviceRanges(source) {
  const ranges = [];
  let end = 0;
  for (const { index } of source.matchAll(/__(global|device)__/g)) {
    if (index < end) continue;
    const open = source.indexOf('{', index);
    const semicolon = source.indexOf(';', index);
    if (open < 0 || (semicolon >= 0 && semicolon < open)) continue; // a declaration
    end = closing(source, open);
    ranges.push([open, end]);
  }
  return ranges;
}

/** The offset just past the bracket that closes the one at `open`. */
function closing(source, open) {
  let depth = 0;
  for (let i = open; i < source.length; ++i) {
    if ('([{'.includes(source[i])) ++depth;
    if (')]}'.includes(source[i]) && --depth === 0) return i + 1;
  }
  return source.length;
}

/** The pieces of [from, to) between the separators that stand in no bracket: [from, to, separator before]. */
function split(source, from, to, separators) {
  const pieces = [];
  let depth = 0;
  let start = from;
  let before = '';
  for (let i = from; i < to; ++i) {
    if ('([{'.includes(source[i])) ++depth;
    if (')]}'.includes(source[i])) --depth;
    const separator = depth === 0 ? separators.find((s) => source.startsWith(s, i)) : undefined;
    if (separator === undefined) continue;
    pieces.push([start, i, before]);
    before = separator;
    start = i + separator.length;
    i = start - 1;
  }
  pieces.push([start, to, before]);
  return pieces;
}

/** A replacement for each comparison of order among the terms of a condition. */
function terms(source, from, to, always) {
  const found = [];
  for (const [start, end] of split(source, from, to, [' && ', ' || ', ' &&\n', ' ||\n'])) {
    const text = source.slice(start, end);
    const inner = /^[\s(!]*\(/.test(text) ? text.indexOf('(') : -1;
    if (inner >= 0 && closing(source, start + inner) === start + text.trimEnd().length && /&&|\|\|/.test(text)) {
      found.push(...terms(source, start + inner + 1, start + text.trimEnd().length - 1, always));
      continue;
    }
    const order = text.match(ORDER);
    if (order === null) continue;
    const sides = text.split(order[0]);
    if (sides.every((side) => CONSTANT.test(side))) continue;
    const lead = text.match(/^\s*/)[0].length;
    found.push({ from: start + lead, to: start + text.trimEnd().length, text: always(order[1]) });
  }
  return found;
}

const passes = () => 'true';
const exits = () => 'false';
/** `i < n ? value : 0` guards its first arm, `i >= n ? 0 : value` its second. */
const arms = (order) => (order.startsWith('<') ? 'true' : 'false');

function conditions(source, from, to) {
  const body = source.slice(from, to);
  const found = [];
  for (const { index } of body.matchAll(/\bif \(/g)) {
    const open = from + index + 3;
    const end = closing(source, open);
    const leaves = /^\s*\{?\s*(return|continue|break)\b/.test(source.slice(end, end + 80));
    found.push(...terms(source, open + 1, end - 1, leaves ? exits : passes));
  }
  for (const match of body.matchAll(/\bbool \w+ = |\breturn /g)) {
    const start = from + match.index + match[0].length;
    const end = source.indexOf(';', start);
    if (!source.slice(start, end).includes(' ? ')) found.push(...terms(source, start, end, passes));
  }
  for (const { index } of body.matchAll(/\s\? /g)) {
    const end = from + index;
    found.push(...terms(source, conditionStart(source, end), end, arms));
  }
  return found;
}

/** Where the condition begins that ends before the `?` at `end`. */
function conditionStart(source, end) {
  let depth = 0;
  for (let i = end - 1; i >= 0; --i) {
    if (')]}'.includes(source[i])) ++depth;
    if ('([{'.includes(source[i]) && --depth < 0) return i + 1;
    if (depth === 0 && (';,:'.includes(source[i]) || /^\s[-+*|]?= /.test(source.slice(i, i + 4)))) {
      return source[i] === ' ' ? source.indexOf('= ', i) + 2 : i + 1;
    }
    if (depth === 0 && source.slice(i, i + 7) === 'return ') return i + 7;
  }
  return 0;
}

function loops(source, from, to) {
  const found = [];
  for (const { index } of source.slice(from, to).matchAll(/\bfor \(/g)) {
    const open = from + index + 4;
    const parts = split(source, open + 1, closing(source, open) - 1, [';']);
    if (parts.length !== 3 || !/thread|lane/i.test(source.slice(parts[0][0], parts[0][1]))) continue;
    const [start, end] = parts[1];
    const at = source.slice(start, end).indexOf(' < ');
    if (at < 0 || CONSTANT.test(source.slice(start + at + 3, end))) continue;
    const bound = source.slice(start, end).trim();
    found.push({ from: end - bound.length, to: end, text: bound.replace(' < ', ' <= ') });
  }
  return found;
}

function minima(source, from, to) {
  const found = [];
  for (const { index } of source.slice(from, to).matchAll(/\bmin\(/g)) {
    const open = from + index + 3;
    const end = closing(source, open);
    const sides = split(source, open + 1, end - 1, [',']);
    if (sides.length !== 2 || sides.every(([a, b]) => CONSTANT.test(source.slice(a, b)))) continue;
    found.push({ from: from + index, to: end, text: `(${source.slice(sides[0][0], sides[0][1])})` });
  }
  return found;
}

function calls(source, from, to, pattern) {
  const found = [];
  for (const match of source.slice(from, to).matchAll(pattern)) {
    const start = from + match.index;
    found.push({ from: start, to: closing(source, start + match[0].length - 1), text: '(void)0' });
  }
  return found;
}

function mutants(file) {
  const original = readFileSync(file, 'utf8');
  const source = blanked(original);
  const found = [];
  const add = (kind, edits) => found.push(...edits.map((edit) => ({ ...edit, kind })));
  for (const [from, to] of deviceRanges(source)) {
    add('barrier', calls(source, from, to, /\b(__syncthreads|__syncwarp|named_barrier)\(/g));
    add('wait', calls(source, from, to, /\bcopy_wait<[^>;]*>\(/g));
    add('guard', [...conditions(source, from, to), ...loops(source, from, to), ...minima(source, from, to)]);
  }
  found.sort((a, b) => a.from - b.from || a.to - b.to);
  const count = new Map();
  const seen = new Set();
  return found
    .filter((edit) => !seen.has(`${edit.from}:${edit.to}`) && seen.add(`${edit.from}:${edit.to}`))
    .map((edit) => {
      const number = original.slice(0, edit.from).split('\n').length;
      const lines = original
        .split('\n')
        .slice(0, number)
        .map((text) => text.trim());
      const line = lines[number - 1];
      // Barriers look alike: the line before tells them apart.
      const named = edit.kind === 'guard' ? line : `${lines.slice(0, -1).findLast((text) => /\w/.test(text))}\n${line}`;
      const hash = createHash('sha1').update(named).digest('hex').slice(0, 8);
      const base = `${basename(file)}:${hash}:${edit.kind}`;
      const nth = (count.get(base) ?? 0) + 1;
      count.set(base, nth);
      const was = original.slice(edit.from, edit.to).replace(/\s+/g, ' ');
      return {
        name: nth === 1 ? base : `${base}.${nth}`,
        number,
        change: `${was} -> ${edit.text.trim()}`,
        line,
        source: original.slice(0, edit.from) + edit.text + original.slice(edit.to),
      };
    });
}

const [verb, ...rest] = process.argv.slice(2);
if (verb === 'list') {
  for (const file of rest) {
    for (const m of mutants(file)) console.log([m.name, m.number, m.change, m.line].join('\t'));
  }
} else if (verb === 'apply' && rest.length === 2) {
  const mutant = mutants(rest[0]).find((m) => m.name === rest[1]);
  if (mutant === undefined) throw new Error(`${rest[0]} has no mutant ${rest[1]}; list names those it has.`);
  process.stdout.write(mutant.source);
} else {
  console.error('Usage: node scripts/mutate.mjs list FILE... | apply FILE NAME');
  process.exit(2);
}

// npm run bench [-- FOLDER]: load time, memory, decode rate and cost of context of a TinyLlama-1.1B in bf16 with random weights, beside a
// reader that alternates with it. Without a folder the model is made in a temporary one and removed.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

function run(program: string, args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

interface Result {
  load_seconds: number;
  weight_bytes: number;
  held_bytes: number;
  ratio: number;
  /** Of a token of context, over the time that its keys and values take to read; 0 for a model that takes less than 8k. */
  context_cost: number;
}

const given = process.argv[2];
const scratch = given === undefined ? mkdtempSync(join(tmpdir(), 'gattling-bench-')) : null;
try {
  const folder = given ?? join(scratch ?? '', 'tinyllama');
  if (scratch)
    run('npx', ['tsx', 'src/main.ts', 'synth', '--shape', 'tinyllama-1.1b', '--max-position', '16384', '--out', folder]);
  const line = run(join(root, 'build/bench/decode_bench'), [folder]);
  process.stdout.write(line);
  const { load_seconds, held_bytes, weight_bytes, ratio, context_cost } = JSON.parse(line) as Result;
  const checks = {
    'load < 5 s': load_seconds < 5,
    'held < 1.15 x weights': held_bytes < 1.15 * weight_bytes,
    'decode >= 70 %': ratio >= 0.7,
    ...(context_cost === 0 ? {} : { 'context <= 1.3': context_cost > 0 && context_cost <= 1.3 }),
  };
  console.log(JSON.stringify({ bench: 'decode', checks }));
  process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1;
} finally {
  if (scratch) rmSync(scratch, { recursive: true, force: true });
}

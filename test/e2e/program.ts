// Runs the real program as a child process: what a user starts, and what it prints.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';

export { temporary } from '../temporary.ts';

export const root = resolve(import.meta.dirname, '../..');
export const MODEL = join(root, 'test/fixtures/models/mha-rope10k');

/** Others' models, which lie beside the repository; a test that needs one is skipped where it is absent. */
export const stories = resolve(root, '../shared/refs/stories260K');
export const hasStories = existsSync(stories);

function environment(extra: Record<string, string>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('GATTLING_'));
  return { ...Object.fromEntries(inherited), ...extra };
}

export class Program {
  readonly child: ChildProcessWithoutNullStreams;
  readonly exit: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts', ...args], { cwd: root, env: environment(env) });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exit = new Promise((done) => this.child.once('close', done));
    onTestFinished(() => {
      this.child.kill('SIGKILL');
    });
  }

  /** Resolves when stdout has it; rejects when the program ends without. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.stdout);
      if (found) return found;
      if (this.child.exitCode !== null)
        throw new Error(`It ended with ${this.child.exitCode} without printing ${pattern}: ${this.stdout}${this.stderr}`);
      await Promise.race([this.exit, new Promise((next) => this.child.stdout.once('data', next))]);
    }
  }

  /** The log lines, parsed. */
  get lines(): Record<string, unknown>[] {
    return this.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }
}

export interface Server {
  program: Program;
  /** http://127.0.0.1:PORT */
  url: string;
}

export async function serve(args: readonly string[] = [MODEL], env: Record<string, string> = {}): Promise<Server> {
  const program = new Program([...args, '--port', '0', '--device', 'cpu'], env);
  const [, url = ''] = await program.prints(/listening on (http:\/\/[^"\s]+)/);
  return { program, url };
}

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs to the end, with this on stdin. */
export async function finish(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<Finished> {
  const program = new Program(args, env);
  program.child.stdin.end(input);
  const code = await program.exit;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

export interface CompletionJson {
  choices: { text: string; finish_reason: string | null }[];
  usage: { prompt_tokens: number; completion_tokens: number };
}

export async function post(url: string, path: string, body: object): Promise<Response> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return fetch(`${url}${path}`, init);
}

/** A port that something else holds until the test ends. */
export async function takenPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

// Load test of any OpenAI-compatible server: time to first token, gaps between tokens, throughput.
//   npm run bench:serve -- --url http://127.0.0.1:8000 --model NAME --concurrency 16 --requests 64 --prompt-tokens 128 --max-tokens 64
import { parseArgs } from 'node:util';
import { quantile, type StreamResult, stream } from './sse-client.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8000' },
    model: { type: 'string' },
    'api-key': { type: 'string' },
    concurrency: { type: 'string', default: '16' },
    requests: { type: 'string', default: '64' },
    'prompt-tokens': { type: 'string', default: '128' },
    'max-tokens': { type: 'string', default: '64' },
    seed: { type: 'string', default: '1' },
  },
});

const headers: Record<string, string> = values['api-key'] ? { authorization: `Bearer ${values['api-key']}` } : {};

async function modelName(): Promise<string> {
  const response = await fetch(`${values.url}/v1/models`, { headers });
  const { data } = (await response.json()) as { data?: { id: string }[] };
  const id = data?.[0]?.id;
  if (id === undefined) throw new Error(`${values.url}/v1/models names no model; give --model.`);
  return id;
}

/** Token ids that no other request of this run has, so that nothing comes from a prefix cache. Lehmer's generator (MINSTD). */
function prompt(request: number): number[] {
  let state = (Number(values.seed) * 7919 + request * 104_729 + 1) % 2_147_483_647;
  return Array.from({ length: Number(values['prompt-tokens']) }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return 3 + (state % 250);
  });
}

async function run(model: string): Promise<StreamResult[]> {
  const results: StreamResult[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let k = next++; k < Number(values.requests); k = next++) {
      const body = { model, prompt: prompt(k), max_tokens: Number(values['max-tokens']), temperature: 0, ignore_eos: true };
      results.push(await stream(`${values.url}/v1/completions`, { ...body, stream_options: { include_usage: true } }, headers));
    }
  };
  await Promise.all(Array.from({ length: Number(values.concurrency) }, worker));
  return results;
}

const start = performance.now();
const results = await run(values.model ?? (await modelName()));
const seconds = (performance.now() - start) / 1000;

const good = results.filter(({ status, done }) => status === 200 && done);
const firsts = good.map(({ started, times }) => (times[0] ?? Number.NaN) - started);
const gaps = good.flatMap(({ times }) => times.slice(1).map((time, i) => time - (times[i] ?? time)));
const tokens = good.reduce((sum, { completionTokens }) => sum + (completionTokens ?? 0), 0);
const spread = (milliseconds: number[]) =>
  Object.fromEntries([0.5, 0.9, 0.99].map((q) => [`p${q * 100}`, Math.round(quantile(milliseconds, q) * 10) / 10]));
console.log(
  JSON.stringify({
    bench: 'serve',
    ...values,
    'api-key': undefined,
    seconds: Math.round(seconds * 100) / 100,
    failed: results.length - good.length,
    outputTokensPerSecond: Math.round((tokens / seconds) * 10) / 10,
    firstTokenMilliseconds: spread(firsts),
    gapMilliseconds: spread(gaps),
  }),
);
const failure = results.find((result) => !good.includes(result));
if (failure) console.error(`a request failed with ${failure.status}: ${failure.body}`);
process.exitCode = failure ? 1 : 0;

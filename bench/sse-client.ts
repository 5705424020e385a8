// A streaming client that keeps the time of every event: what a load test needs and autocannon does not parse.
import { Agent, request } from 'node:http';

export interface StreamResult {
  status: number;
  /** performance.now() of the request and of each data event before [DONE]. */
  started: number;
  times: number[];
  texts: string[];
  /** The usage chunk, when asked for. */
  completionTokens: number | null;
  done: boolean;
  /** Body of an answer that is no stream. */
  body: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 4096 });

interface Chunk {
  choices?: { text?: string; delta?: { content?: string } }[];
  usage?: { completion_tokens: number } | null;
}

/** Posts a body with stream: true; resolves when the answer has ended. */
export function stream(url: string, body: object, headers: Record<string, string> = {}): Promise<StreamResult> {
  return new Promise((resolve, reject) => {
    const result: StreamResult = {
      status: 0,
      started: performance.now(),
      times: [],
      texts: [],
      completionTokens: null,
      done: false,
      body: '',
    };
    const options = { method: 'POST', agent, headers: { 'content-type': 'application/json', ...headers } };
    const post = request(url, options, (response) => {
      result.status = response.statusCode ?? 0;
      response.setEncoding('utf8');
      let rest = '';
      response.on('data', (data: string) => {
        if (result.status !== 200) {
          result.body += data;
          return;
        }
        const events = (rest + data).split('\n\n');
        rest = events.pop() ?? '';
        for (const event of events) take(result, event);
      });
      response.on('end', () => resolve(result));
      response.on('error', reject);
    });
    post.on('error', reject);
    post.end(JSON.stringify({ ...body, stream: true }));
  });
}

function take(result: StreamResult, event: string): void {
  if (!event.startsWith('data: ')) return;
  if (event === 'data: [DONE]') {
    result.done = true;
    return;
  }
  const chunk = JSON.parse(event.slice(6)) as Chunk;
  if (chunk.usage) result.completionTokens = chunk.usage.completion_tokens;
  const choice = chunk.choices?.[0];
  if (choice === undefined) return;
  result.times.push(performance.now());
  result.texts.push(choice.text ?? choice.delta?.content ?? '');
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

// Ghost Attention's data (Llama 2, arXiv 2307.09288, section 3.3): answers are sampled with the instruction on every user turn, and
// trained on with the instruction in the first turn only, with no loss on any answer but the last.
import { type Job, lastEnd } from './plan.ts';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface Answer {
  content: string;
  /** False: it was cut by a limit of tokens. */
  whole: boolean;
}

export interface AskOptions {
  seed: number;
  /** Turn of the dialogue, from 1, for what is said about a failure. */
  turn: number;
}
export type Ask = (messages: ChatMessage[], options: AskOptions) => Promise<Answer>;

export interface Sample {
  /** "12.0.5": the job's key, and the turn that it ends with. */
  id: string;
  messages: (ChatMessage & { weight?: 0 | 1 })[];
  /** As it was sampled with: the full form. */
  instruction: string;
}

export interface SampleOptions {
  place: 'system' | 'user';
  earlierAnswers: 'sampled' | 'given';
  /** Samples whose answer was cut are written as well. */
  keepCut: boolean;
}

export interface Sampled {
  samples: Sample[];
  /** Samples that were planned and have no answer to train on. */
  nCut: number;
  nEmpty: number;
}

const attach = (instruction: string, text: string) => `${instruction}\n\n${text}`;

function context(job: Job, answers: readonly string[]): ChatMessage[] {
  return job.turns.slice(0, answers.length + 1).flatMap(({ user }, i): ChatMessage[] => {
    const answer = answers[i];
    const asked: ChatMessage = { role: 'user', content: attach(job.instruction, user) };
    return answer === undefined ? [asked] : [asked, { role: 'assistant', content: answer }];
  });
}

/** `answers`: one for each turn up to the last of the sample. */
export function training(job: Job, instruction: string, answers: readonly string[], place: 'system' | 'user'): Sample {
  const messages: Sample['messages'] = place === 'system' ? [{ role: 'system', content: instruction }] : [];
  answers.forEach((answer, i) => {
    const user = job.turns[i]?.user ?? '';
    messages.push({ role: 'user', content: i === 0 && place === 'user' ? attach(instruction, user) : user });
    messages.push({ role: 'assistant', content: answer, weight: i === answers.length - 1 ? 1 : 0 });
  });
  return { id: `${job.key}.${answers.length}`, messages, instruction: job.instruction };
}

/** Asks turn by turn, no deeper than the last end; `onTurn` is told of each turn that is settled. */
export async function sampleJob(job: Job, options: SampleOptions, ask: Ask, onTurn: () => void): Promise<Sampled> {
  const result: Sampled = { samples: [], nCut: 0, nEmpty: 0 };
  const given = options.earlierAnswers === 'given';
  const answers: string[] = [];
  for (let turn = 1; turn <= lastEnd(job); turn++, onTurn()) {
    const end = job.ends.find((each) => each.turn === turn);
    const own = job.turns[turn - 1]?.answer ?? '';
    if (given && !end) {
      answers.push(own);
      continue;
    }
    const seed = Math.floor(job.draw('answer', turn) * 2 ** 31);
    const { content, whole } = await ask(context(job, answers), { seed, turn });
    const empty = content.trim() === '';
    const usable = !empty && (whole || options.keepCut);
    if (usable && end) result.samples.push(training(job, end.instruction, [...answers, content], options.place));
    if (!usable) {
      // A sampled dialogue ends here: what follows would rest on half an answer. A given one has an answer of its own.
      const nLost = given ? 1 : job.ends.filter((each) => each.turn >= turn).length;
      result[empty ? 'nEmpty' : 'nCut'] += nLost;
      if (!given) break;
    }
    answers.push(given ? own : content);
  }
  return result;
}

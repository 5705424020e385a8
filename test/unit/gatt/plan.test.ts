import { describe, expect, test } from 'vitest';
import { parseDialogues } from '../../../src/gatt/dialogue.ts';
import { choose, drawer, within } from '../../../src/gatt/draw.ts';
import { checkKinds, drawInstruction, parseInstructions } from '../../../src/gatt/instruction.ts';
import { type PlanOptions, parseEnds, plan } from '../../../src/gatt/plan.ts';

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const line = (...messages: unknown[]) => `${JSON.stringify({ messages })}\n`;

describe('dialogues', () => {
  test('answers are optional, empty lines count, a byte-order mark is not there any more', () => {
    const text = `${line(user('a'), assistant('b'), user('c'))}\n\r\n${line(user('d'), user('e\u2028f'))}`;
    expect(parseDialogues(text, 'in')).toEqual([
      {
        line: 1,
        turns: [
          { user: 'a', answer: 'b' },
          { user: 'c', answer: null },
        ],
      },
      {
        line: 4,
        turns: [
          { user: 'd', answer: null },
          { user: 'e\u2028f', answer: null },
        ],
      },
    ]);
  });

  test.each([
    ['', /^in holds no dialogue; give one a line/],
    ['{"messages": [}', /^in line 1: is not JSON \(.*\); it must be one object such as \{"messages"/],
    [`${line(user('a'))}[]`, /^in line 2: has no list of messages; it must be/],
    [line(), /^in line 1: has no user message/],
    [line('a'), /^in line 1: messages\[0\] must be an object with role and content\.$/],
    [line({ role: 'system', content: 'x' }, user('a')), /messages\[0\] is a system message, whose place the instruction takes/],
    [line(user('a'), { role: 'tool', content: 'x' }), /messages\[1\]\.role must be user or assistant, not "tool"\.$/],
    [line(user('')), /messages\[0\]\.content must be a text that is not empty\.$/],
    [line({ role: 'user', content: [{ type: 'text', text: 'a' }] }), /messages\[0\]\.content must be a text/],
    [line(assistant('a')), /messages\[0\] is an assistant message that follows no user message/],
    [line(user('a'), assistant('b'), assistant('c')), /messages\[2\] is an assistant message that follows no user message/],
  ])('%j', (text, message) => expect(() => parseDialogues(text, 'in')).toThrow(message));
});

describe('instructions', () => {
  const figure = { full: 'Act as Napoleon.', short: 'Figure: Napoleon.', kind: 'figure' };
  const french = { full: 'Speak French.', short: 'Speak French.', kind: 'language' };

  test('full, short and kind', () => {
    const text = 'Act as Napoleon.\tFigure: Napoleon.\tfigure\r\n\nSpeak French.\t\tlanguage\n# Not a comment.\n';
    const plain = { full: '# Not a comment.', short: '# Not a comment.', kind: null };
    expect(parseInstructions(text, 'in')).toEqual([figure, french, plain]);
  });

  test.each([
    ['\n \n', /^in holds no instruction/],
    ['a\tb\tc\td', /^in line 1 must be an instruction, then at most its short form and its kind/],
    ['a\n\tb', /^in line 2 must be an instruction/],
  ])('%j', (text, message) => expect(() => parseInstructions(text, 'in')).toThrow(message));

  test('two are joined only when they are of different kinds', () => {
    const many = parseInstructions(['a1\t\ta', 'a2\t\ta', 'b1\tb\tb', 'c1\t\tc'].join('\n'), 'in');
    const draw = drawer(1);
    const fulls = Array.from({ length: 400 }, (_, i) => drawInstruction(many, 1, within(draw, i)).full);
    for (const full of fulls) expect(full).toMatch(/^([abc])\d (?!\1)[abc]\d$/);
    expect(new Set(fulls).size).toBe(10);
    const shorts = Array.from({ length: 400 }, (_, i) => drawInstruction(many, 1, within(draw, i)));
    expect(shorts.find(({ full }) => full === 'b1 c1')?.short).toBe('b c1');
    const alone = Array.from({ length: 400 }, (_, i) => drawInstruction(many, 0.25, within(draw, i)).full.length === 2);
    expect(alone.filter(Boolean).length / 400).toBeCloseTo(0.75, 1);
  });

  test('to combine, each needs a kind, and there must be two kinds', () => {
    expect(() => checkKinds([figure, { ...french, kind: null }], 'in')).toThrow(
      /needs the kind of each.*"Speak French\." of in/,
    );
    expect(() => checkKinds([figure, { ...french, kind: 'figure' }], 'in')).toThrow(/in has only one/);
    checkKinds([figure, french], 'in');
  });
});

describe('draws', () => {
  test('depend on seed and name, and are uniform', () => {
    expect(drawer(1)('a', 2)).toBe(within(drawer(1), 'a')(2));
    expect(new Set([drawer(1)('a'), drawer(2)('a'), drawer(1)('b'), drawer(1)('a', 0)]).size).toBe(4);
    const draws = Array.from({ length: 4000 }, (_, i) => drawer(3)(i));
    for (let tenth = 0; tenth < 10; tenth++)
      expect(draws.filter((draw) => Math.floor(draw * 10) === tenth).length / 400).toBeCloseTo(1, 0);
    for (const draw of draws) expect(draw >= 0 && draw < 1).toBe(true);
  });

  test('a choice is of different numbers in ascending order', () => {
    expect(choose(4, 9, drawer(0))).toEqual([1, 2, 3, 4]);
    const counts = new Map<string, number>();
    for (let i = 0; i < 600; i++) {
      const chosen = choose(4, 2, drawer(i)).join();
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(['1,2', '1,3', '1,4', '2,3', '2,4', '3,4']);
    for (const count of counts.values()) expect(count).toBeGreaterThan(50);
  });
});

describe('plan', () => {
  const instructions = parseInstructions('a\tA\tx\nb\tB\ty\nc\t\tz', 'in');
  const dialogues = parseDialogues(line(user('1')) + line(...['1', '2', '3', '4', '5'].map(user)).repeat(200), 'in');
  const options: PlanOptions = { samples: 1, ends: 1, combine: 0, shortShare: 0.5, earlierAnswers: 'sampled' };
  const made = (changes: Partial<PlanOptions> = {}, seed = 0) =>
    plan(dialogues, instructions, { ...options, ...changes }, drawer(seed), 'in');
  const shape = (jobs: ReturnType<typeof plan>) => JSON.stringify(jobs.map(({ draw, ...job }) => job));
  const endsOf = (ends: PlanOptions['ends']) => made({ ends }).map((job) => job.ends.map(({ turn }) => turn));

  test('equal seeds make equal plans, others others', () => {
    expect(shape(made())).toBe(shape(made()));
    expect(shape(made({}, 1))).not.toBe(shape(made()));
  });

  test('ends: every turn, the last one, or some', () => {
    expect(endsOf('all').slice(0, 2)).toEqual([[1], [1, 2, 3, 4, 5]]);
    expect(endsOf('last').slice(0, 2)).toEqual([[1], [5]]);
    expect(endsOf(9)[1]).toEqual([1, 2, 3, 4, 5]);
    expect(new Set(endsOf(1).slice(1).map(String)).size).toBe(5);
    expect(new Set(endsOf(2).slice(1).map(String)).size).toBe(10);
  });

  test('which answers are sampled does not depend on where samples end', () => {
    const [one, all] = [made(), made({ ends: 'all' })];
    expect(one.map(({ instruction }) => instruction)).toEqual(all.map(({ instruction }) => instruction));
    expect(one.map(({ draw }) => draw('answer', 1))).toEqual(all.map(({ draw }) => draw('answer', 1)));
  });

  test('the share of short forms', () => {
    for (const shortShare of [0, 0.5, 1]) {
      const ends = made({ shortShare, ends: 'all' }).flatMap((job) =>
        job.ends.map((end) => ({ ...end, full: job.instruction })),
      );
      for (const { instruction, full } of ends)
        expect(full === 'c' ? ['c'] : [full, full.toUpperCase()]).toContain(instruction);
      const able = ends.filter(({ full }) => full !== 'c');
      expect(able.filter(({ instruction, full }) => instruction !== full).length / able.length).toBeCloseTo(shortShare, 1);
    }
  });

  test('several samples of a dialogue have instructions of their own', () => {
    const jobs = made({ samples: 3 });
    expect(jobs.slice(0, 4).map(({ key }) => key)).toEqual(['1.0', '1.1', '1.2', '2.0']);
    const sets = dialogues.map((_, i) => new Set(jobs.slice(3 * i, 3 * i + 3).map(({ instruction }) => instruction)).size);
    expect(new Set(sets)).toEqual(new Set([1, 2, 3]));
  });

  test('given answers must be there, but for the last', () => {
    const given = (text: string) =>
      plan(parseDialogues(text, 'in'), instructions, { ...options, ends: 'last', earlierAnswers: 'given' }, drawer(0), 'in');
    expect(given(line(user('a'), assistant('b'), user('c')))).toHaveLength(1);
    expect(() => given(line(user('a')) + line(user('a'), user('c')))).toThrow(
      /^in line 2: turn 1 has no answer, which --earlier-answers given needs/,
    );
  });

  test.each(['0', '-1', '1.5', 'some', ''])('--ends %j is refused', (text) =>
    expect(() => parseEnds(text)).toThrow(/^--ends must be all, last or a whole number of at least 1/),
  );
  test('--ends', () => expect(['all', 'last', '12'].map(parseEnds)).toEqual(['all', 'last', 12]));
});

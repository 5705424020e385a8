// From the messages of a request to turns that the model's template takes, the system message where its mode wants it.
import { isBlank, join, mergeRuns, turnOf } from './conversation/turns.ts';
import type { Conversation, Message, SystemMode, TemplateTraits, Turn } from './types.ts';

/** Turns before the instruction is copied into them: with many turns the copies may be far too much to make. */
export interface Arrangement {
  turns: Turn[];
  /** null: there is no instruction, or it is empty. */
  instruction: Turn | null;
  /** Which turns are to carry the instruction in their text, ascending. */
  carriers: number[];
}

/**
 * System messages, wherever they stand, become one at the start. `dropped` messages are left out. Of what the template takes,
 * nothing else is changed.
 */
export function arrange(conversation: Conversation, traits: TemplateTraits, dropped: ReadonlySet<number>): Arrangement {
  const { messages, systemMode = 'first' } = conversation;
  const all = messages.map(turnOf).filter((_, i) => !dropped.has(i));
  const systems = all.filter(({ role }) => role === 'system');
  const others = all.filter(({ role }) => role !== 'system').map((turn) => asUser(turn, traits));
  const turns = withEmptyTurns(traits.runs ? others : mergeRuns(others), conversation, traits);
  if (systems.length === 0) return { turns, instruction: null, carriers: [] };
  const system = join(systems);
  const opened = traits.system ? [system, ...turns] : turns;
  if (isBlank(system)) return { turns: opened, instruction: null, carriers: [] };
  return { turns: opened, instruction: system, carriers: carriers(opened, messages, traits, systemMode) };
}

/** The instruction, then the user's text: Mistral's way for the first turn, and Ghost Attention's for all. */
export function complete({ turns, instruction, carriers }: Arrangement): Turn[] {
  if (instruction === null) return turns;
  const isCarrier = new Set(carriers);
  return turns.map((turn, i) => (isCarrier.has(i) ? { ...turn, pieces: join([instruction, turn]).pieces } : turn));
}

/** What a tool answered is for the model to read, so a template without that role has it from the user. */
function asUser(turn: Turn, { tool }: TemplateTraits): Turn {
  return turn.role === 'tool' && !tool ? { ...turn, role: 'user' } : turn;
}

const EMPTY: Turn = { role: 'user', pieces: [] };

/** An empty user turn where a template cannot do without one: it puts words into nobody's mouth. */
function withEmptyTurns(turns: readonly Turn[], { addGenerationPrompt }: Conversation, traits: TemplateTraits): Turn[] {
  if (turns.length === 0) return traits.system && traits.systemOnly ? [] : [EMPTY];
  const before = turns[0]?.role === 'assistant' && !traits.assistantFirst ? [EMPTY] : [];
  const isAnswered = turns.at(-1)?.role === 'assistant' && addGenerationPrompt;
  return [...before, ...turns, ...(isAnswered && !traits.assistantLast ? [EMPTY] : [])];
}

/** User turns after the first, as the mode says, and the first if the template has no other way for a system message. */
function carriers(turns: readonly Turn[], messages: readonly Message[], traits: TemplateTraits, mode: SystemMode): number[] {
  const isUsers = ({ role, pieces }: Turn) =>
    role === 'user' && !(pieces.length > 0 && pieces.every(({ message }) => messages[message]?.role === 'tool'));
  const users = turns.flatMap((turn, i) => (isUsers(turn) ? [i] : []));
  const first = turns.findIndex(({ role }) => role === 'user');
  const later = users.filter((i) => i > first);
  const chosen = mode === 'every_turn' ? later : mode === 'last_turn' ? later.slice(-1) : [];
  return traits.system || first < 0 ? chosen : [first, ...chosen];
}

// == and != in templates, as Python has them. The library compares as JavaScript's == does, to which '' and false are equal: then
// an empty system message is lost in Llama 2's own template, which asks whether it is not false.

/** What the rewritten comparisons call; no template can name a variable so. */
export const comparisons = { '==': same, '!=': (left: unknown, right: unknown) => !same(left, right) };

/** Turns every comparison in a parsed template into a call, in place. */
export function compareAsPython(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  const children = node instanceof Map ? [...node].flat() : Object.values(node);
  for (const child of children) compareAsPython(child);
  const { type, operator, left, right } = node as {
    type?: string;
    operator?: { value: string };
    left?: unknown;
    right?: unknown;
  };
  if (type !== 'BinaryExpression' || operator === undefined || !Object.hasOwn(comparisons, operator.value)) return;
  Object.assign(node, { type: 'CallExpression', callee: { type: 'Identifier', value: operator.value }, args: [left, right] });
}

/** Lists and dictionaries hold the library's boxes. */
interface Box {
  value: unknown;
}

function same(left: unknown, right: unknown): boolean {
  if (isNumeric(left) && isNumeric(right)) return Number(left) === Number(right);
  if (Array.isArray(left) && Array.isArray(right)) return sameItems(left, right);
  if (left instanceof Map && right instanceof Map) {
    return left.size === right.size && [...left].every(([key, box]) => right.has(key) && same(box.value, right.get(key).value));
  }
  return left === right;
}

const sameItems = (left: Box[], right: Box[]) =>
  left.length === right.length && left.every(({ value }, i) => same(value, right[i]?.value));

/** True is 1 in Python. */
const isNumeric = (value: unknown) => typeof value === 'number' || typeof value === 'boolean';

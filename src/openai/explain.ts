// From a schema's errors to one sentence that names the field, what is right and what was sent.
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { type ApiError, invalid, shown } from './errors.ts';

export type Validator = (value: unknown) => { value: unknown } | { error: ApiError };

/** No coercion: "1" is not a number. */
export function validator(schema: TSchema): Validator {
  const compiled = Compile(schema);
  return (value) => (compiled.Check(value) ? { value } : { error: explain(schema, compiled, value) });
}

function explain(schema: TSchema, compiled: ReturnType<typeof Compile>, value: unknown): ApiError {
  const relevant = mostSpecific(compiled.Errors(sample(schema, value)).filter((error) => error.keyword !== 'anyOf'));
  const first = relevant[0];
  if (first === undefined) return invalid('', `The body has a mistake beyond the first ${maxExplained} values of a field.`);
  const path = first.instancePath.split('/').slice(1).map(plain);
  if (first.keyword === 'required') {
    const param = [...path, first.params.requiredProperties[0] ?? ''].join('.');
    return invalid(param, `${param} is required.`);
  }
  const param = path.join('.');
  return invalid(param, `${param || 'The body'} must ${rule(relevant)}, not ${shown(at(value, path))}.`);
}

/** Explaining costs microseconds for each value, and a hostile body has millions. */
const maxExplained = 10_000;

/** The fields that the schema knows, each with its first values only. */
function sample(schema: TSchema, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const known = Object.keys((schema as { properties?: object }).properties ?? {}).filter((key) => Object.hasOwn(value, key));
  return Object.fromEntries(known.map((key) => [key, cut((value as Record<string, unknown>)[key], { values: maxExplained })]));
}

function cut(value: unknown, budget: { values: number }): unknown {
  budget.values--;
  if (typeof value !== 'object' || value === null) return value;
  const entries: [string, unknown][] = [];
  for (const key in value) {
    entries.push([key, cut((value as Record<string, unknown>)[key], budget)]);
    if (budget.values <= 0) break;
  }
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

/** The first error and its alternatives; where an alternative got further into the value, only that one. */
function mostSpecific(errors: TLocalizedValidationError[]): TLocalizedValidationError[] {
  let path = errors[0]?.instancePath ?? '';
  for (const error of errors) if (error.instancePath.startsWith(`${path}/`)) path = error.instancePath;
  return errors.filter((error) => error.instancePath === path);
}

function rule(errors: TLocalizedValidationError[]): string {
  const limit = errors.find((error) => error.keyword !== 'type' && error.keyword !== 'required');
  if (limit === undefined) return `be ${list(errors.flatMap(typeNames))}`;
  if (limit.keyword === 'enum') return `be ${list(limit.params.allowedValues.map((allowed) => JSON.stringify(allowed)))}`;
  if (limit.keyword === 'minLength') return `have at least ${limit.params.limit} character(s)`;
  if (limit.keyword === 'maxLength') return `have at most ${limit.params.limit} characters`;
  if (limit.keyword === 'minItems') return `have at least ${limit.params.limit} item(s)`;
  if (limit.keyword === 'maxItems') return `have at most ${limit.params.limit} items`;
  if (limit.keyword === 'maxProperties') return `have at most ${limit.params.limit} keys`;
  return limit.message.replace(/^must /, '');
}

const articles: Record<string, string> = {
  string: 'a string',
  number: 'a finite number',
  integer: 'an integer',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  null: 'null',
};

function typeNames(error: TLocalizedValidationError): string[] {
  if (error.keyword !== 'type') return [];
  return [error.params.type].flat().map((name) => articles[name] ?? name);
}

const list = (words: string[]) => (words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);

function at(value: unknown, path: string[]): unknown {
  return path.reduce((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}

const plain = (segment: string) => segment.replaceAll('~1', '/').replaceAll('~0', '~');

/** How long a server asks to be left alone (RFC 9110, 10.2.3: seconds, or a date), in ms; null when the header says nothing. */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  // V8 takes "-1" for a year.
  const date = /^[A-Z]/i.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(date - now, 0);
}

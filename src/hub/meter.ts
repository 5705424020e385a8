// How far a download of several files has come, as one number.

export interface Progress {
  stage: string;
  /** Bytes. */
  done: number;
  total: number;
}

export type OnProgress = (progress: Progress) => void;

export class Meter {
  readonly #title: string;
  readonly #report: OnProgress;
  #sizes: ReadonlyMap<string, number> = new Map();
  #total = 0;
  #there = new Map<string, number>();
  #done = 0;

  constructor(title: string, report: OnProgress) {
    this.#title = title;
    this.#report = report;
  }

  /** Bytes of each blob that is to come. Until this is known nothing is reported. */
  expect(sizes: ReadonlyMap<string, number>): void {
    this.#sizes = sizes;
    this.#total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const there = [...this.#there];
    this.#there = new Map();
    this.#done = 0;
    for (const [oid, bytes] of there) this.#count(oid, bytes);
  }

  /** `bytes` of the blob are there. */
  at(oid: string, bytes: number): void {
    this.#count(oid, bytes);
    if (this.#total > 0) this.#step(this.#title);
  }

  readonly waiting = (reason: string, ms: number): void =>
    this.#step(`${this.#title}: ${reason}, again in ${Math.ceil(ms / 1000)} s`);

  #count(oid: string, bytes: number): void {
    if (this.#total > 0 && !this.#sizes.has(oid)) return;
    this.#done += bytes - (this.#there.get(oid) ?? 0);
    this.#there.set(oid, bytes);
  }

  #step(stage: string): void {
    // Nothing of one, as long as nobody knows how much it is: 0 of 0 is all.
    this.#report({ stage, done: this.#done, total: Math.max(this.#total, 1) });
  }
}

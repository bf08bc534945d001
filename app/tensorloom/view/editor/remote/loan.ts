/**
 * Whose the page's one line to a worker is: the page's own, or lent to a script that names another.
 *
 * A line is lent as long as runs with that worker last, whatever becomes of them; then it goes back
 * to the page's worker. Runs with others wait for it. A page that is connected to nothing lends
 * nothing: the worker that a script names becomes its own, once it has answered.
 */

import type { Worker } from "./address.ts";
import type { Connection } from "./connection.ts";
import { Watchers } from "./watchers.ts";

/** The line that is lent. */
export interface LentLine {
  connection(): Connection;
  /** Leaves the worker that was there, if any. */
  follow(worker: Worker | null): void;
  /** Resolves when this worker has answered; rejects where it refuses or does not. */
  answered(worker: Worker): Promise<void>;
}

interface Loan {
  worker: Worker;
  /** Whose the line is; null = the page is connected to nothing any more. */
  page: Worker | null;
  runs: number;
  /** Rejects when the user takes the line. */
  taken: Promise<never>;
  take: (why: unknown) => void;
}

export class Lending {
  private loan: Loan | null = null;
  private readonly watchers = new Watchers();

  constructor(private readonly line: LentLine) {}

  get isOut(): boolean {
    return this.loan !== null;
  }

  /** Whether the line is lent for another worker than the one that somebody works with. */
  isOutFor(other: Worker | null): boolean {
    return this.loan !== null && !isSame(this.loan.worker, other);
  }

  /** Does the work while the line is with the named worker, or with the page's own where none is named. */
  async during<T>(named: Worker | null, work: (worker: Worker | null) => Promise<T>): Promise<T> {
    // Whoever waited as well may have been faster.
    while (this.isOutFor(named)) await this.watchers.until(() => !this.isOutFor(named));
    if (this.loan) return this.lent(this.loan, work);
    const connection = this.line.connection();
    if (named === null) return work(connection.kind === "off" ? null : connection.worker);
    if (connection.kind === "off") return this.adopted(named, work);
    if (!isSame(connection.worker, named)) return this.lent(this.lend(named, connection.worker), work);
    if (connection.kind === "waiting" || connection.kind === "refused") this.line.follow(named);
    return work(named);
  }

  /** The page is connected to another worker now: the line goes back to that one. False where it is not lent. */
  comesBackTo(page: Worker | null): boolean {
    if (this.loan) this.loan.page = page;
    return this.loan !== null;
  }

  /** The user takes the line: the runs that have it end. Gives whose it is; undefined where it is not lent. */
  end(why: unknown): Worker | null | undefined {
    const { loan } = this;
    if (!loan) return undefined;
    this.loan = null;
    loan.take(why);
    this.watchers.look();
    return loan.page;
  }

  private async adopted<T>(named: Worker, work: (worker: Worker) => Promise<T>): Promise<T> {
    this.line.follow(named);
    try {
      await this.line.answered(named);
    } catch (error) {
      const connection = this.line.connection();
      if (connection.kind !== "off" && isSame(connection.worker, named)) this.line.follow(null);
      throw error;
    }
    return work(named);
  }

  private lend(worker: Worker, page: Worker): Loan {
    let take: Loan["take"] = () => undefined;
    const taken = new Promise<never>((_, reject) => {
      take = reject;
    });
    taken.catch(() => undefined);
    this.loan = { worker, page, runs: 0, taken, take };
    this.line.follow(worker);
    return this.loan;
  }

  private async lent<T>(loan: Loan, work: (worker: Worker) => Promise<T>): Promise<T> {
    loan.runs += 1;
    try {
      return await Promise.race([work(loan.worker), loan.taken]);
    } finally {
      loan.runs -= 1;
      if (loan.runs === 0 && this.loan === loan) {
        this.loan = null;
        this.line.follow(loan.page);
        this.watchers.look();
      }
    }
  }
}

function isSame(one: Worker, other: Worker | null): boolean {
  return one.address === other?.address && one.token === other.token;
}

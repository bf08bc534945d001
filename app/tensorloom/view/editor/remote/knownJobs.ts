/**
 * The jobs of one worker that the page knows of: the newest, and older ones once they are asked for.
 */

import type { JobJson, JobPageJson } from "./wire.ts";

export class KnownJobs {
  private readonly jobs = new Map<string, JobJson>();
  /** Deleted ones: a page of older jobs that was on its way may still hold them. */
  private readonly gone = new Set<string>();
  private next: string | null = null;
  private isComing = false;

  /** Whether the worker has older ones. */
  get older(): "none" | "more" | "coming" {
    return this.next === null ? "none" : this.isComing ? "coming" : "more";
  }

  values(): Iterable<JobJson> {
    return this.jobs.values();
  }

  get(id: string): JobJson | undefined {
    return this.jobs.get(id);
  }

  put(job: JobJson): void {
    this.jobs.set(job.id, job);
  }

  drop(id: string): void {
    this.jobs.delete(id);
    this.gone.add(id);
  }

  /** Begins anew, with the newest ones. */
  begin({ jobs, next }: JobPageJson): void {
    this.jobs.clear();
    this.gone.clear();
    this.next = next ?? null;
    for (const job of jobs) this.put(job);
  }

  /**
   * Those that the next pages brought, up to the first that brought any: the events may have told of
   * a whole page already. What has been heard of a job is newer than what a page says.
   */
  async takeOlder(ask: (before: string) => Promise<JobPageJson>): Promise<JobJson[]> {
    if (this.isComing) return [];
    this.isComing = true;
    try {
      let fresh: JobJson[] = [];
      while (this.next !== null && fresh.length === 0) {
        const before: string = this.next;
        const page = await ask(before);
        // The list was begun anew meanwhile.
        if (this.next !== before) return [];
        fresh = page.jobs.filter(({ id }) => !this.jobs.has(id) && !this.gone.has(id));
        for (const job of fresh) this.put(job);
        this.next = page.next ?? null;
      }
      return fresh;
    } finally {
      this.isComing = false;
    }
  }
}

/** Conditions that are waited for: each is looked at after every change. */

export class Watchers {
  private readonly waiting = new Set<() => void>();

  /** Resolves when the condition holds, at once where it does already; rejects with what it throws. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        try {
          if (!condition()) return;
          resolve();
        } catch (error) {
          reject(error as Error);
        }
        this.waiting.delete(look);
      };
      this.waiting.add(look);
      look();
    });
  }

  /** Something changed. */
  look(): void {
    for (const look of [...this.waiting]) look();
  }
}

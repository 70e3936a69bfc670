/** An EventTarget that knows what its events carry: E maps each type to its detail. */
export class Emitter<E extends object> extends EventTarget {
  /**
   * Calls listener with the detail of each event of the type, until the function that
   * it returns is called.
   */
  on<K extends keyof E & string>(type: K, listener: (detail: E[K]) => void): () => void {
    const handle = (event: Event): void => listener((event as CustomEvent<E[K]>).detail);
    this.addEventListener(type, handle);
    return () => this.removeEventListener(type, handle);
  }

  protected emit<K extends keyof E & string>(type: K, detail: E[K]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

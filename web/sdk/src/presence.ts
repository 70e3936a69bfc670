export interface PresenceHandlers {
  /** The network, the lid or the page is open again, as far as the browser knows. */
  back(): void;
  /** The network seems to be gone. */
  gone(): void;
}

/** Follows the browser until signal fires. Outside of browsers there is nothing to follow. */
export function follow(handlers: PresenceHandlers, signal: AbortSignal): void {
  globalThis.addEventListener?.("online", () => handlers.back(), { signal });
  globalThis.addEventListener?.("offline", () => handlers.gone(), { signal });
  globalThis.document?.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") handlers.back();
  }, { signal });
}

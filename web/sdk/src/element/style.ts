/**
 * How the element looks. Themes set the --carnet-* properties or the parts; what the
 * page leaves alone follows the user's light or dark.
 */
const css = `
:host {
  --_accent: var(--carnet-accent, light-dark(#175c49, #7ad9b8));
  --_on-accent: var(--carnet-on-accent, light-dark(#ffffff, #08211a));
  --_own: var(--carnet-own, var(--carnet-accent, light-dark(#175c49, #22624f)));
  --_on-own: var(--carnet-on-own, var(--carnet-on-accent, #ffffff));
  --_canvas: var(--carnet-canvas, light-dark(#faf8f4, #131617));
  --_surface: var(--carnet-surface, light-dark(#ffffff, #1a1e1f));
  --_bubble: var(--carnet-bubble, light-dark(#ede8de, #262b2c));
  --_text: var(--carnet-text, light-dark(#1b1f1d, #eceeec));
  --_muted: var(--carnet-muted, light-dark(#656a66, #9ca5a0));
  --_line: var(--carnet-line, light-dark(#e4dfd4, #2e3435));
  --_danger: var(--carnet-danger, light-dark(#a8231b, #ff9d94));
  --_radius: var(--carnet-radius, 1.125rem);
  color-scheme: light dark;
  display: block;
  block-size: 36rem;
  min-block-size: 16rem;
  font: var(--carnet-font, 400 1rem/1.45 ui-sans-serif, system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif);
  color: var(--_text);
  text-align: start;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
button, textarea { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; background: none; padding: 0; touch-action: manipulation; }
svg { inline-size: 1.25rem; block-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 2.25; stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.panel { block-size: 100%; display: flex; flex-direction: column; overflow: hidden; container-type: inline-size; background: var(--_canvas); border: 1px solid var(--_line); border-radius: calc(var(--_radius) + .375rem); }

header { display: flex; align-items: center; gap: .75rem; padding: .875rem 1.125rem; background: var(--_surface); border-block-end: 1px solid var(--_line); }
.avatar { flex: none; display: grid; place-items: center; inline-size: 2.5rem; block-size: 2.5rem; border-radius: 50%; background: var(--_accent); color: var(--_on-accent); font-weight: 650; font-size: 1.0625rem; }
.names { flex: 1; min-inline-size: 0; }
.seal { flex: none; display: grid; color: var(--_danger); }
.seal[part~=seal-secured] { color: light-dark(#1d7d5e, #4fcf9f); }
.title { font-weight: 650; line-height: 1.25; overflow-wrap: anywhere; }
.status, .privacy { display: flex; align-items: center; gap: .375rem; font-size: .8125rem; line-height: 1.3; color: var(--_muted); }
.status::before { content: ""; inline-size: .5rem; block-size: .5rem; border-radius: 50%; background: var(--_muted); opacity: .6; }
[data-state=open] .status::before { background: light-dark(#23936f, #4fcf9f); opacity: 1; }
:is([data-state=waiting], [data-state=locked], [data-state=closed]) .status::before { background: var(--_danger); opacity: 1; }

.standing { display: flex; flex-wrap: wrap; gap: 0 .75rem; }
[data-state=closed] .privacy { color: var(--_danger); }
.privacy svg, .mark svg { flex: none; inline-size: .875rem; block-size: .875rem; }

.banner:not(:empty) { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: .5rem 1.125rem; font-size: .875rem; background: color-mix(in oklab, var(--_danger) 9%, var(--_surface)); border-block-end: 1px solid var(--_line); }
.banner button { flex: none; font-weight: 600; color: var(--_danger); padding: .25rem .5rem; margin-inline-end: -.5rem; border-radius: .5rem; }
.banner button:hover { background: color-mix(in oklab, var(--_danger) 12%, transparent); }

.transcript { position: relative; flex: 1; min-block-size: 0; display: flex; }
.log { position: relative; flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: 1rem 1.125rem 1.25rem; display: flex; flex-direction: column; scrollbar-width: thin; scrollbar-color: var(--_line) transparent; }
.log:focus-visible { outline-offset: -3px; }
.list { display: flex; flex-direction: column; margin-block-start: auto; }
.log > .empty:not([hidden]) + .list { margin-block-start: 0; }
.earlier, .jump { font-size: .8125rem; font-weight: 600; color: var(--_accent); }
.earlier { align-self: center; padding: .375rem .875rem; border-radius: 1rem; }
.earlier:hover { background: color-mix(in oklab, var(--_accent) 10%, transparent); }
.empty { margin-block: auto; display: grid; justify-items: center; gap: .875rem; color: var(--_muted); animation: appear .3s .4s both; }
.empty .avatar { inline-size: 3.5rem; block-size: 3.5rem; font-size: 1.5rem; }

.message { display: flex; flex-direction: column; align-items: flex-start; padding-block-start: .1875rem; }
.message.user { align-items: flex-end; }
.message.system { align-items: center; }
.last + .message { padding-block-start: .75rem; }
.day { align-self: center; margin-block: .5rem .875rem; font-size: .75rem; font-weight: 600; color: var(--_muted); }
.message + .message > .day { margin-block-start: 1.25rem; }
.text { max-inline-size: min(85%, 34rem); padding: .5625rem .9375rem; border-radius: var(--_radius); white-space: pre-wrap; overflow-wrap: anywhere; background: var(--_bubble); }
.text strong { font-weight: 680; }
.text a { color: var(--_accent); text-underline-offset: .15em; unicode-bidi: plaintext; }
.text :is(code, pre) { direction: ltr; unicode-bidi: isolate; background: color-mix(in oklab, var(--_text) 8%, transparent); }
.text code { font: .9em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; padding: .0625em .3125em; border-radius: .3125rem; }
.text pre { margin-block: .5rem; padding: .625rem .75rem; border-radius: .625rem; white-space: pre-wrap; }
.text pre code { padding: 0; background: none; }
.text :is(ul, ol) { margin-block: .25rem; padding-inline-start: 1.375rem; white-space: normal; }
.text li { white-space: pre-wrap; padding-block: .0625rem; }
.text li::marker { color: var(--_muted); }
.words > :first-child:is(ul, ol, pre) { margin-block-start: 0; }
.words > :last-child:is(ul, ol, pre) { margin-block-end: 0; }
.extras:empty, .mark:empty, .wait:empty { display: none; }
.extras { max-inline-size: min(85%, 34rem); display: grid; gap: .375rem; justify-items: start; padding-block: .375rem .25rem; }
.text[hidden] + .extras { padding-block-start: 0; }
.extras img { display: block; max-inline-size: 100%; max-block-size: 20rem; border-radius: var(--_radius); background: var(--_bubble); color: var(--_muted); font-size: .875rem; }
.buttons { display: flex; flex-wrap: wrap; gap: .375rem; }
.button, .replies button { padding: .4375rem .9375rem; border: 1.5px solid color-mix(in oklab, var(--_accent) 65%, transparent); color: var(--_accent); background: var(--_surface); font-size: .9375rem; overflow-wrap: anywhere; }
.button { display: inline-block; border-radius: .75rem; font-weight: 600; line-height: 1.4; text-decoration: none; }
.button:hover, .replies button:hover { background: color-mix(in oklab, var(--_accent) 10%, var(--_surface)); }
.bot.last .text { border-end-start-radius: .375rem; }
.user .text { background: var(--_own); color: var(--_on-own); transition: opacity .2s; }
.user.last .text { border-end-end-radius: .375rem; }
.system .text { background: none; padding-block: .25rem; font-size: .875rem; color: var(--_muted); text-align: center; }
[data-state=pending] .text { opacity: .85; }
[data-state=partial] .words::after { content: ""; display: inline-block; inline-size: .5rem; block-size: 1em; margin-inline-start: .125rem; vertical-align: text-bottom; border-radius: .125rem; background: var(--_muted); animation: blink 1s infinite steps(2, jump-none); }
[data-state=failed] .text { background: none; color: var(--_text); box-shadow: inset 0 0 0 1.5px var(--_danger); }
[data-state=blocked] .text { background: none; color: var(--_text); outline: 1.5px dashed var(--_muted); outline-offset: -1.5px; }
.mark { display: flex; align-items: center; gap: .25rem; font-size: .75rem; line-height: 1.4; color: var(--_muted); padding: .25rem .25rem 0; }
:is([data-seal=elsewhere], [data-seal=broken]) .mark { font-size: .875rem; max-inline-size: min(85%, 34rem); padding: .5rem .875rem; border-radius: var(--_radius); border: 1.5px dashed var(--_line); }
[data-seal=broken] .mark { color: var(--_danger); border-color: currentColor; }
.system .mark { padding: 0; }
.meta { font-size: .75rem; line-height: 1.4; color: var(--_muted); padding: .25rem .25rem 0; font-variant-numeric: tabular-nums; }
.message:not(.last, [data-state=pending], [data-state=failed], [data-state=blocked]) .meta, .system .meta, .meta:empty { display: none; }
[data-state=failed] .meta { color: var(--_danger); }
.meta button { font-weight: 650; text-decoration: underline; text-underline-offset: .15em; padding-block: .25rem; }
[data-state=blocked] .meta button { color: var(--_accent); }
.log:has(.note[data-waiting]) [data-state=blocked] .meta button { display: none; }

.note:not(:empty) { align-self: center; display: grid; justify-items: center; gap: .375rem; max-inline-size: min(85%, 28rem); margin-block-start: 1rem; padding: .875rem 1.125rem; border-radius: var(--_radius); background: var(--_surface); border: 1px solid var(--_line); text-align: center; }
.note > svg { color: var(--_danger); }
.note .message { align-items: center; padding: 0; max-inline-size: 100%; }
.note .text { max-inline-size: 100%; padding: 0; font-size: .9375rem; color: inherit; text-wrap: balance; }
.note .extras { max-inline-size: 100%; justify-items: center; padding-block-end: 0; }
.note .buttons { justify-content: center; }
.wait { font-size: .8125rem; color: var(--_muted); font-variant-numeric: tabular-nums; }

.dots { align-self: flex-start; display: flex; gap: .3125rem; margin-block-start: .75rem; padding: .875rem 1rem; border-radius: var(--_radius); border-end-start-radius: .375rem; background: var(--_bubble); }
.dots i { inline-size: .4375rem; block-size: .4375rem; border-radius: 50%; background: var(--_muted); animation: breathe 1.2s infinite ease-in-out; }
.dots i:nth-child(2) { animation-delay: .16s; }
.dots i:nth-child(3) { animation-delay: .32s; }

.replies:not(:empty) { display: flex; flex-wrap: wrap; gap: .5rem; padding-block-start: .75rem; }
.replies button { border-radius: 1.25rem; font-weight: 550; }
.jump { position: absolute; inset-block-end: .75rem; inset-inline: 0; margin-inline: auto; inline-size: max-content; display: flex; align-items: center; gap: .375rem; padding: .4375rem .875rem; border-radius: 1.25rem; background: var(--_surface); border: 1px solid var(--_line); box-shadow: 0 4px 16px rgb(0 0 0 / .14); }
.jump svg { inline-size: 1rem; block-size: 1rem; }

.composer { padding: .75rem; background: var(--_surface); border-block-start: 1px solid var(--_line); }
.field { display: flex; align-items: flex-end; gap: .5rem; padding: .3125rem; border-radius: 1.5rem; background: var(--_canvas); border: 1.5px solid color-mix(in oklab, var(--_muted) 80%, var(--_canvas)); }
.field:has(textarea:read-only) { border-color: var(--_line); }
.field:focus-within { border-color: var(--_accent); box-shadow: 0 0 0 3px color-mix(in oklab, var(--_accent) 16%, transparent); }
textarea { flex: 1; min-inline-size: 0; min-block-size: 2.25rem; max-block-size: 9rem; padding: .4rem .75rem; resize: none; border: 0; background: none; field-sizing: content; scrollbar-width: thin; }
.field textarea:focus-visible { outline: none; }
textarea:read-only { color: var(--_muted); cursor: not-allowed; }
textarea::placeholder { color: var(--_muted); opacity: 1; }
.send { flex: none; display: grid; place-items: center; inline-size: 2.25rem; block-size: 2.25rem; border-radius: 50%; background: var(--_accent); color: var(--_on-accent); transition: scale .1s; }
.send:disabled { background: var(--_line); color: var(--_muted); cursor: default; }
.send:not(:disabled):active { scale: .92; }

@container (max-width: 24rem) {
  header, .log { padding-inline: .875rem; }
  .composer { padding: .5rem; }
  .text, .extras { max-inline-size: 90%; }
}
@media (prefers-reduced-motion: no-preference) {
  [data-ready] .message:last-child { animation: rise .22s ease-out both; }
}
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation-duration: 1ms !important; animation-iteration-count: 1 !important; transition-duration: 1ms !important; }
}
@media (forced-colors: active) {
  .text, .avatar, .send { border: 1px solid; }
  [data-state=partial] .words::after, .dots i { background: CanvasText; }
}
@keyframes appear { from { opacity: 0; } }
@keyframes rise { from { opacity: 0; translate: 0 .5rem; } }
@keyframes blink { from { opacity: 0; } }
@keyframes breathe { 0%, 60%, 100% { opacity: .35; translate: 0; } 30% { opacity: 1; translate: 0 -.1875rem; } }
`;

let shared: CSSStyleSheet | undefined;

/** The one sheet that all elements share. It needs no style-src of the page's policy. */
export function sheet(): CSSStyleSheet {
  if (!shared) {
    shared = new CSSStyleSheet();
    shared.replaceSync(css);
  }
  return shared;
}

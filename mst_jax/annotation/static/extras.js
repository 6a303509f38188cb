/** Fetches what is shown only on request: probability map and tokens. */

import { changed, page } from "./page.js";
import { coloured } from "./scene.js";
import { settings } from "./settings.js";

const wanted = { probability: null, tokens: null }; // what was asked for last

/** Asks for what the current object's latest mask lacks; to be called at each drawing. */
export function follow() {
  const item = page.work?.current;
  const has = (something) => (item && item.version !== null && something ? item : null);
  keep("probability", has(settings.view === "probability" && !item?.mask.empty),
    async () => coloured(await page.work.probability(item)));
  keep("tokens", has(settings.tokens && page.about.has_tokens && item?.clicks.length),
    () => page.work.tokens(item));
}

async function keep(kind, item, fetch) {
  if (item === null) {
    wanted[kind] = page.extras[kind] = null;
    return;
  }
  const before = wanted[kind];
  if (before?.item === item && before.version === item.version) return;
  if (before?.item !== item) page.extras[kind] = null;
  const request = { item, version: item.version };
  wanted[kind] = request;
  const value = await fetch().catch(() => null);
  if (wanted[kind] !== request) return; // a later one is on its way
  page.extras[kind] = value;
  changed();
}

/** Adds the headers to all files of the page with which browsers allow threads. Copied
 * to the folder of the page; registered by isolation.js. */

const ISOLATION_HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { origin } = new URL(event.request.url);
  if (origin === location.origin) event.respondWith(fetchIsolated(event.request));
});

async function fetchIsolated(request) {
  const response = await fetch(request);
  const { status, statusText, body } = response;
  // Status 0: a redirection, which the browser follows itself.
  if (status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION_HEADERS)) headers.set(name, value);
  return new Response(body, { status, statusText, headers });
}

/* Runs before the page is drawn, so that it never flashes in the other colours. */
try {
  document.documentElement.dataset.theme = localStorage.getItem("mst_jax.theme") ?? "";
} catch { /* a forbidden store: as the system prefers */ }

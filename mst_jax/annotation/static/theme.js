/* Sets the stored theme before the first paint, so that the page never flashes in the
   other one. A classic script of index.html; settings.js stores the theme. */
try {
  document.documentElement.dataset.theme = localStorage.getItem("mst_jax.theme") ?? "";
} catch { /* localStorage is forbidden: the system's preference applies */ }

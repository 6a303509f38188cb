/** Object colors (used by session.js) and the colormap of probabilities (render.js). */

/** Colors distinct under all common forms of color vision: Okabe and Ito, 2008. */
export const OBJECT_COLORS = [
  "#56b4e9", "#e69f00", "#009e73", "#cc79a7",
  "#f0e442", "#d55e00", "#0072b2", "#b0b0b0",
];

/**
 * Returns the color for a new object: the first of those that are used least often.
 * @param {string[]} usedColors "#rrggbb" of each object
 * @returns {string} "#rrggbb"
 */
export function nextObjectColor(usedColors) {
  const countUses = (color) => usedColors.filter((used) => used === color).length;
  const minUses = Math.min(...OBJECT_COLORS.map(countUses));
  return OBJECT_COLORS.find((color) => countUses(color) === minUses);
}

/** RGB of 256 steps from dark violet (0) to yellow (255); brightness rises evenly. */
export const PROBABILITY_COLORMAP = (() => {
  const colorStops = [
    [68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37],
  ];
  const colormap = new Uint8ClampedArray(256 * 3);
  for (let value = 0; value < 256; value++) {
    // Interpolate linearly between the two neighboring stops.
    const position = (value / 255) * (colorStops.length - 1);
    const lowerStop = Math.min(Math.floor(position), colorStops.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const lower = colorStops[lowerStop][channel];
      const upper = colorStops[lowerStop + 1][channel];
      colormap[value * 3 + channel] = lower + (position - lowerStop) * (upper - lower);
    }
  }
  return colormap;
})();

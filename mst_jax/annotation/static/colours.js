/** Colours that people with any colour vision tell apart: Okabe and Ito, 2008. */

export const PALETTE = [
  "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#b0b0b0",
];

/** The first colour of the palette that the fewest objects have. */
export function nextColour(used) {
  const count = (colour) => used.filter((other) => other === colour).length;
  const least = Math.min(...PALETTE.map(count));
  return PALETTE.find((colour) => count(colour) === least);
}

/** 256 steps from dark violet to yellow, opaque; brightness rises evenly. */
export const SCALE = (() => {
  const stops = [
    [68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37],
  ];
  const steps = new Uint8ClampedArray(256 * 3);
  for (let value = 0; value < 256; value++) {
    const at = (value / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      const [from, to] = [stops[low][c], stops[low + 1][c]];
      steps[value * 3 + c] = from + (at - low) * (to - from);
    }
  }
  return steps;
})();

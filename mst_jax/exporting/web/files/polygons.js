/** Converts masks to polygons along pixel edges, exactly, with holes cut open, as
 * mst_jax/annotation/files/polygons.py does. Used by exports.js. */

/** Steps along an edge, in the order of right turns: east, south, west, north. */
const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1]];
const NORTH = 3;

/**
 * Returns the polygon of each connected part of a mask. Parts that touch at a corner
 * only are separate. Filling with the even-odd rule gives the mask again.
 * @param {Uint8Array} mask height * width values row by row, 1 = object
 * @param {{width: number, height: number}} imageSize
 * @returns {number[][]} lists x, y, x, y, ... of pixel corners
 */
export function toPolygons(mask, { width, height }) {
  const { rings, ringOfEdge } = traceRings(mask, width, height);
  const holes = rings.filter(({ isHole }) => isHole);
  // From right to left: a hole is joined after those that are joined to it.
  holes.sort((a, b) => b.topLeft[0] - a.topLeft[0]);
  for (const hole of holes) joinHole(hole, mask, width, rings, ringOfEdge);
  return rings.filter(({ isHole }) => !isHole).map(({ path }) =>
    removeRepeated(path).flat());
}

/**
 * Follows the edges between object and background, with the object on the right.
 * @returns {{rings: object[], ringOfEdge: Int32Array}} rings in the order of their first
 *   edge, and for each pixel the ring that runs along its left edge
 */
function traceRings(mask, width, height) {
  const isObject = (x, y) =>
    x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  // Whether an edge runs from a corner in a direction: object right of it, background
  // left of it.
  const hasEdge = (x, y, direction) => {
    const right = [[x, y], [x - 1, y], [x - 1, y - 1], [x, y - 1]][direction];
    const left = [[x, y - 1], [x, y], [x - 1, y], [x - 1, y - 1]][direction];
    return isObject(...right) && !isObject(...left);
  };
  const isVisited = new Uint8Array(width * height); // pixels whose top edge was followed
  const ringOfEdge = new Int32Array(width * height).fill(-1);
  const rings = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // Every ring has an edge that runs east, which is the top edge of a pixel.
      if (isVisited[y * width + x] || !hasEdge(x, y, 0)) continue;
      rings.push(followRing(x, y));
    }
  }
  return { rings, ringOfEdge };

  function followRing(startX, startY) {
    let [x, y, direction, doubleArea] = [startX, startY, 0, 0];
    const path = [];
    do {
      if (direction === 0) isVisited[y * width + x] = 1;
      if (direction === NORTH) ringOfEdge[(y - 1) * width + x] = rings.length;
      const [stepX, stepY] = STEPS[direction];
      doubleArea += x * stepY - y * stepX;
      [x, y] = [x + stepX, y + stepY];
      // The right turn first, so that pixels that touch at a corner are separate.
      const next = [1, 0, 3].map((turn) => (direction + turn) % 4)
        .find((candidate) => hasEdge(x, y, candidate));
      if (next !== direction) path.push([x, y]);
      direction = next;
    } while (x !== startX || y !== startY || direction !== 0);
    const topLeft = path.reduce((first, corner) =>
      (corner[0] < first[0] || (corner[0] === first[0] && corner[1] < first[1])
        ? corner : first));
    return { path, topLeft, isHole: doubleArea < 0 };
  }
}

/** Joins a hole to the ring on its left by a cut of width zero. */
function joinHole({ path, topLeft }, mask, width, rings, ringOfEdge) {
  const [holeX, y] = topLeft;
  let x = holeX - 1;
  while (x > 0 && mask[y * width + x - 1] === 1) x -= 1;
  const ring = rings[ringOfEdge[y * width + x]];
  // The edge that runs north along this pixel; an earlier cut may have split it.
  const index = ring.path.findIndex(([cornerX, bottom], position) => {
    const [nextX, top] = ring.path[(position + 1) % ring.path.length];
    return cornerX === x && nextX === x && top <= y && bottom > y;
  });
  const first = path.findIndex((corner) => corner[0] === holeX && corner[1] === y);
  const walk = [...path.slice(first), ...path.slice(0, first + 1)];
  ring.path = [
    ...ring.path.slice(0, index + 1), [x, y], ...walk, [x, y],
    ...ring.path.slice(index + 1),
  ];
}

/** A cut may end at a corner of the ring. */
function removeRepeated(path) {
  return path.filter(([x, y], index) => {
    const [previousX, previousY] = path.at(index - 1);
    return x !== previousX || y !== previousY;
  });
}

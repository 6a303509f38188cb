/** Writes the objects of a session to files, in the formats of the annotation server.
 * Used by routes.js. */

import { currentSnapshot } from "../store/object_history.js";
import { LocalError } from "./local_error.js";
import { makeNumpyArchive } from "./numpy_archive.js";
import { encodeGrayPng } from "./png.js";
import { toPolygons } from "./polygons.js";
import { compressRunLengths, encodeRunLengths } from "./run_lengths.js";
import { makeZip } from "./zip.js";

/**
 * @typedef {object} SessionExport
 * @property {StoredSession} session
 * @property {Blob} file the image
 * @property {{object: StoredObject, mask: Uint8Array}[]} labeledMasks not empty
 * @property {Label[]} categories all labels, see `LabelStore.readCategories`
 * @property {number} unlabeledId category of the objects without a label
 */

/** Functions that write a file, by format: content, media type and suffix. */
const WRITERS = {
  labels: async (content) => ({
    data: await makeLabelMap(content), type: "image/png", suffix: ".png",
  }),
  coco: async (content) => ({
    data: toJson(makeCoco(content, toPolygons)), type: "application/json",
    suffix: ".json",
  }),
  coco_rle: async (content) => ({
    data: toJson(makeCoco(content, toCocoRle)), type: "application/json",
    suffix: ".json",
  }),
  numpy: async (content) => ({
    data: await makeArrays(content), type: "application/octet-stream", suffix: ".npz",
  }),
  zip: async (content) => ({
    data: await makeArchive(content), type: "application/zip", suffix: ".zip",
  }),
};

/**
 * @param {SessionExport} content
 * @param {"labels"|"coco"|"coco_rle"|"numpy"|"zip"} format
 * @returns {Promise<{name: string, file: Blob}>}
 */
export async function exportSession(content, format) {
  if (!(format in WRITERS)) {
    throw new LocalError(`The page cannot export ${format}.`, 404);
  }
  const { data, type, suffix } = await WRITERS[format](content);
  const stem = content.session.imageName.replace(/\.[^.]+$/, "");
  return { name: stem + suffix, file: new Blob([data], { type }) };
}

/** Returns a PNG of the object IDs; later objects cover earlier ones. */
function makeLabelMap({ session, labeledMasks }) {
  const maxId = Math.max(0, ...labeledMasks.map(({ object }) => object.objectId));
  const ArrayType = maxId < 256 ? Uint8Array : Uint16Array;
  const labelMap = new ArrayType(session.width * session.height);
  for (const { object, mask } of labeledMasks) {
    for (let index = 0; index < mask.length; index++) {
      if (mask[index]) labelMap[index] = object.objectId;
    }
  }
  return encodeGrayPng(labelMap, session);
}

/** Returns COCO data; annotation IDs are object IDs. */
function makeCoco(content, toSegmentation) {
  const { session, labeledMasks, categories, unlabeledId } = content;
  const { imageName, width, height } = session;
  const annotations = labeledMasks.map(({ object, mask }) => ({
    id: object.objectId,
    image_id: 1,
    category_id: object.labelId ?? unlabeledId,
    segmentation: toSegmentation(mask, session),
    area: currentSnapshot(object).area,
    bbox: boundingBox(mask, session),
    iscrowd: 0,
    color: object.color,
  }));
  return {
    images: [{ id: 1, file_name: imageName, height, width }], annotations, categories,
  };
}

/** Returns COCO's compressed run lengths of a mask. */
function toCocoRle(mask, session) {
  const counts = compressRunLengths(encodeRunLengths(mask, session));
  return { size: [session.height, session.width], counts };
}

/** Returns a NumPy archive with one bool mask per object ID, and their names. */
function makeArrays({ session, labeledMasks, categories, unlabeledId }) {
  const objects = labeledMasks.map(({ object, mask }) => {
    const category = categories.find(
      ({ id }) => id === (object.labelId ?? unlabeledId));
    return { id: object.objectId, name: category.name, mask };
  });
  return makeNumpyArchive(objects, session);
}

/** Returns a zip file with the image, all formats, one PNG per mask and the history. */
async function makeArchive(content) {
  const { session, file, labeledMasks } = content;
  const suffix = file.type.split("/")[1] ?? "";
  const files = {
    [`image.${suffix.replace("jpeg", "jpg") || "bin"}`]:
      new Uint8Array(await file.arrayBuffer()),
    "state.json": toJson({
      image_name: session.imageName, objects: labeledMasks.map(({ object }) => object),
    }),
    "labels.png": await makeLabelMap(content),
    "coco.json": toJson(makeCoco(content, toPolygons)),
    "coco_rle.json": toJson(makeCoco(content, toCocoRle)),
    "numpy.npz": await makeArrays(content),
  };
  for (const { object, mask } of labeledMasks) {
    const pixels = mask.map((value) => 255 * value);
    files[`masks/${object.objectId}.png`] = await encodeGrayPng(pixels, session);
  }
  return makeZip(files);
}

/** Returns left, top, width and height of a mask that is not empty. */
function boundingBox(mask, { width, height }) {
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let row = 0, index = 0; row < height; row++) {
    for (let column = 0; column < width; column++, index++) {
      if (!mask[index]) continue;
      if (column < left) left = column;
      if (column > right) right = column;
      if (row < top) top = row;
      bottom = row;
    }
  }
  return [left, top, right + 1 - left, bottom + 1 - top];
}

function toJson(tree) {
  return new TextEncoder().encode(JSON.stringify(tree));
}

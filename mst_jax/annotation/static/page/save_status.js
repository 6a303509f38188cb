/** Describes what is saved, for the status bar. Used by page_controls.js. */

const MAX_NAMED_OBJECTS = 2;

/**
 * @param {?AnnotationSession} session session of the open image
 * @param {number} numUnsavedElsewhere actions of images that were left
 * @returns {{text: string, isProblem: boolean}}
 */
export function describeSaveStatus(session, numUnsavedElsewhere) {
  if (!session) return { text: "", isProblem: false };
  const numPending = session.requestQueue.numPending + numUnsavedElsewhere;
  const { unavailableReason } = session.requestQueue;
  // 1. Nothing can be stored now.
  if (unavailableReason) {
    const reason = unavailableReason.replace(/\.$/, "");
    const text = `${reason}: ${numPending} not saved yet, retrying`;
    return { text, isProblem: true };
  }
  if (numPending) return { text: `Saving ${numPending} …`, isProblem: false };
  // 2. Stored by the server, but not in the files of the masks.
  if (session.sync.saveError) return { text: session.sync.saveError, isProblem: true };
  const unfinishedObjects = session.objects.filter(
    (object) => !object.finished && !object.isEmpty,
  );
  const unfinished = nameObjects(unfinishedObjects);
  if (unfinished) return { text: `Not finished: ${unfinished}`, isProblem: false };
  return { text: session.sync.isExported ? "Saved" : "Saving …", isProblem: false };
}

/** Lists the first names: "cat, dog and 3 more"; empty without an object. */
function nameObjects(objects) {
  const names = objects.map(({ name, objectId }) => name || `object ${objectId}`);
  const numHidden = names.length - MAX_NAMED_OBJECTS;
  const shownNames = names.slice(0, MAX_NAMED_OBJECTS).join(", ");
  return numHidden > 0 ? `${shownNames} and ${numHidden} more` : shownNames;
}

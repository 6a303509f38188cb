/** The pictures of this sitting: of the folder given at start, and those opened since. */

import { ask, json } from "./api.js";
import { byId, make } from "./dom.js";
import { recall, remember } from "./settings.js";

const KEPT = 60; // pictures that are remembered beside the folder's

export class Rail {
  /** {name, folder: bool, session: id or null, file: File or undefined} */
  pictures = [];
  current = null;

  /** @param {(picture) => void} open is called when the annotator wants a picture */
  constructor(open) {
    this.open = open;
  }

  /** Lists the folder and what was opened before the page was loaded. */
  async start(hasFolder) {
    const before = recall("pictures", []);
    const known = new Map(before.filter((one) => one.folder).map((one) => [one.name, one]));
    const names = hasFolder ? (await json("GET", "/folder")).pictures : [];
    this.pictures = names.map(({ name }) => ({
      name,
      folder: true,
      session: known.get(name)?.session ?? null,
    }));
    this.pictures.push(...before.filter((one) => !one.folder));
    this.show();
  }

  /** Adds pictures that were opened, dropped or pasted; returns the first. */
  add(files) {
    const added = files.map((file) => ({
      name: file.name, folder: false, session: null, file,
    }));
    this.pictures.push(...added);
    this.show();
    return added[0];
  }

  /** The picture of a session; one that is unknown here is added. */
  ofSession(session, name) {
    let picture = this.pictures.find((one) => one.session === session);
    if (!picture) this.pictures.push((picture = { name, folder: false, session }));
    return picture;
  }

  /** The picture `step` places on, or null at either end. */
  beside(step) {
    return this.pictures[this.pictures.indexOf(this.current) + step] ?? null;
  }

  /** Remembers which sessions belong to which pictures. */
  keep() {
    const worth = this.pictures.filter((one) => one.session);
    const kept = [...worth.filter((one) => one.folder),
      ...worth.filter((one) => !one.folder).slice(-KEPT)];
    const facts = ({ name, folder, session }) => ({ name, folder, session });
    remember("pictures", kept.map(facts));
  }

  /** Forgets a session that is over. */
  forget(session) {
    const picture = this.pictures.find((one) => one.session === session);
    if (!picture) return;
    picture.session = null;
    if (!picture.folder && !picture.file) {
      this.pictures = this.pictures.filter((one) => one !== picture);
    }
    this.keep();
    this.show();
  }

  show() {
    const tiles = this.pictures.map((picture) => {
      picture.tile ??= this.#tile(picture);
      picture.tile.classList.toggle("begun", picture.session !== null);
      const isCurrent = picture === this.current;
      picture.tile.setAttribute("aria-current", String(isCurrent));
      return picture.tile.parentElement ?? make("li", {}, picture.tile);
    });
    const list = byId("pictures");
    if (list.children.length !== tiles.length ||
        tiles.some((tile, index) => tile !== list.children[index])) {
      list.replaceChildren(...tiles);
    }
    this.current?.tile.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #tile(picture) {
    const image = make("img", { alt: "", loading: "lazy", src: thumbnail(picture) });
    const onclick = () => this.open(picture);
    return make("button", { className: "tile", title: picture.name, onclick },
      image, make("span", {}, picture.name));
  }
}

/** Makes a session of a picture, or finds the one it has. Returns its id. */
export async function sessionOf(picture) {
  if (picture.session) return picture.session;
  const answer = picture.folder
    ? await json("POST", "/sessions", { picture: picture.name })
    : await (await ask("POST", `/sessions?name=${encodeURIComponent(picture.name)}`,
      picture.file)).json();
  picture.session = answer.session;
  return answer.session;
}

function thumbnail(picture) {
  if (picture.folder) {
    return `/api/folder/thumbnail?name=${encodeURIComponent(picture.name)}`;
  }
  if (picture.file) return URL.createObjectURL(picture.file);
  return `/api/sessions/${picture.session}/picture`;
}

/** The front of ClickWidget: shows what Python has drawn, tells it what was clicked. */

const BUTTONS = {
  undo: "take the last action back",
  redo: "do it again",
  reset: "begin the object anew",
  finish: "keep the mask, begin the next object",
};

function render({ model, el }) {
  el.classList.add("mst-click");
  const picture = add(el, "img", { alt: "picture to click on", draggable: false });
  const bar = add(el, "div", { className: "bar" });
  const sign = add(bar, "button", { title: "what a click or a tap says" });
  for (const [name, title] of Object.entries(BUTTONS)) {
    add(bar, "button", { textContent: name, title }).onclick = () => tell({ do: name });
  }
  const text = add(bar, "span", { className: "text" });
  const error = add(el, "div", { className: "error" });
  error.setAttribute("role", "status");

  let positive = true;
  let told = model.get("state").answered;
  let address = "";

  function tell(message) {
    told += 1;
    text.textContent = "…";
    model.send(message);
  }

  function click(event, isPositive) {
    event.preventDefault();
    event.stopPropagation();
    const { height, width } = model.get("state");
    const box = picture.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    tell({ do: "click", x, y, positive: isPositive });
  }

  function showSign() {
    sign.textContent = positive ? "+ object" : "− not this";
    sign.classList.toggle("negative", !positive);
  }

  function showPicture() {
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([model.get("shown")], { type: "image/jpeg" }));
    picture.src = address;
  }

  function showState() {
    const state = model.get("state");
    told = Math.max(told, state.answered); // another view of the widget may have asked
    if (told === state.answered) text.textContent = state.text;
    error.textContent = state.error;
  }

  picture.onclick = (event) => click(event, positive && !event.shiftKey);
  picture.oncontextmenu = (event) => click(event, false);
  // Notebooks would select cells with Shift, and open a menu of their own.
  picture.onmousedown = (event) => event.stopPropagation();
  sign.onclick = () => {
    positive = !positive;
    showSign();
  };
  model.on("change:shown", showPicture);
  model.on("change:state", showState);
  showSign();
  showPicture();
  showState();
  return () => {
    model.off("change:shown", showPicture);
    model.off("change:state", showState);
    URL.revokeObjectURL(address);
  };
}

function add(parent, tag, properties) {
  const node = Object.assign(document.createElement(tag), properties);
  parent.append(node);
  return node;
}

export default { render };

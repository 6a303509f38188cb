/** The browser's part of ClickWidget (widget.py): shows the image and sends clicks. */

/** Actions that Python runs, with the tooltips of their buttons. */
const ACTION_TOOLTIPS = {
  undo: "undo the last action",
  redo: "redo the action undone last",
  reset: "remove the clicks on this object",
  finish: "finish this object, start the next one",
};

/**
 * Creates one view of the widget; called by anywidget.
 * @param {{model: object, el: HTMLElement}} view traits and messages; element to fill
 * @returns {() => void} function that removes the view
 */
function render({ model, el }) {
  // 1. Image, toolbar, status and error message.
  el.classList.add("mst-click-widget");
  const image = appendElement(el, "img", { alt: "image to click on", draggable: false });
  const toolbar = appendElement(el, "div", { className: "toolbar" });
  const signButton = appendElement(toolbar, "button", { title: "sign of plain clicks" });
  for (const [action, title] of Object.entries(ACTION_TOOLTIPS)) {
    const button = appendElement(toolbar, "button", { textContent: action, title });
    button.onclick = () => sendMessage({ action });
  }
  const statusText = appendElement(toolbar, "span", { className: "status-text" });
  const errorMessage = appendElement(el, "div", { className: "error-message" });
  errorMessage.setAttribute("role", "status");

  let clicksArePositive = true;
  let numSent = model.get("view_state").num_responses;
  let imageUrl = "";

  // 2. Messages to Python.
  function sendMessage(message) {
    numSent += 1;
    statusText.textContent = "…";
    model.send(message);
  }

  /** Sends a click in pixels of the full image; the displayed one may be smaller. */
  function sendClick(event, positive) {
    event.preventDefault();
    event.stopPropagation();
    const { image_height, image_width } = model.get("view_state");
    const imageRect = image.getBoundingClientRect();
    const relativeX = (event.clientX - imageRect.left) / imageRect.width;
    const relativeY = (event.clientY - imageRect.top) / imageRect.height;
    const x = Math.floor(relativeX * image_width);
    const y = Math.floor(relativeY * image_height);
    sendMessage({ action: "click", x, y, positive });
  }

  // 3. What Python has sent.
  function updateSignButton() {
    signButton.textContent = clicksArePositive ? "+ object" : "− not object";
    signButton.classList.toggle("negative", !clicksArePositive);
  }

  function updateImage() {
    URL.revokeObjectURL(imageUrl);
    const jpeg = new Blob([model.get("display_jpeg")], { type: "image/jpeg" });
    imageUrl = URL.createObjectURL(jpeg);
    image.src = imageUrl;
  }

  function updateStatus() {
    const { num_responses, status_text, error_message } = model.get("view_state");
    // Another view of the same widget may have sent messages as well.
    numSent = Math.max(numSent, num_responses);
    if (numSent === num_responses) statusText.textContent = status_text;
    errorMessage.textContent = error_message;
  }

  // 4. Events.
  image.onclick = (event) => sendClick(event, clicksArePositive && !event.shiftKey);
  image.oncontextmenu = (event) => sendClick(event, false);
  // Notebooks would select cells with Shift, and open a menu of their own.
  image.onmousedown = (event) => event.stopPropagation();
  signButton.onclick = () => {
    clicksArePositive = !clicksArePositive;
    updateSignButton();
  };
  model.on("change:display_jpeg", updateImage);
  model.on("change:view_state", updateStatus);
  updateSignButton();
  updateImage();
  updateStatus();
  return () => {
    model.off("change:display_jpeg", updateImage);
    model.off("change:view_state", updateStatus);
    URL.revokeObjectURL(imageUrl);
  };
}

function appendElement(parent, tagName, properties) {
  const element = Object.assign(document.createElement(tagName), properties);
  parent.append(element);
  return element;
}

export default { render };

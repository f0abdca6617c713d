// What every view does with JavaScript: copy a snippet, take a picture along as PNG.
// Everything here is a help; without it the page works as well.

const PNG_SCALE = 2;

function show(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
  for (const link of root.querySelectorAll("a[data-picture]:not([data-has-png])")) addPng(link);
}

function addPng(link) {
  link.dataset.hasPng = "";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = "PNG";
  button.addEventListener("click", () => savePng(link.href, button));
  link.after(" · ", button);
}

async function savePng(address, button) {
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    button.textContent = "PNG: the picture could not be loaded";
    return;
  }
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth * PNG_SCALE;
  canvas.height = image.naturalHeight * PNG_SCALE;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const path = new URL(address).pathname;
  saveCanvas(canvas, `milieu${path.replace(/\.svg$/, "").replaceAll("/", "-")}.png`);
}

export function saveCanvas(canvas, name) {
  canvas.toBlob((blob) => saveBlob(blob, name), "image/png");
}

export function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  await navigator.clipboard.writeText(text);
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button);
});
document.addEventListener("htmx:afterSettle", (event) => show(event.detail.elt));
show(document);

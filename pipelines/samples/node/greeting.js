"use strict";

/** The answer to a path, as in /world. */
exports.greeting = (path) => {
  const name = decodeURIComponent(path).replace(/^\/|\/$/g, "");
  return `Hello, ${name || "world"}!\n`;
};

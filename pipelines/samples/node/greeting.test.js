"use strict";

const assert = require("node:assert");
const test = require("node:test");
const { greeting } = require("./greeting.js");

test("greets by name", () => assert.equal(greeting("/Ada%20L"), "Hello, Ada L!\n"));
test("greets the world without one", () => assert.equal(greeting("/"), "Hello, world!\n"));

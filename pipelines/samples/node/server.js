"use strict";

const { createServer } = require("node:http");
const { greeting } = require("./greeting.js");

createServer((request, response) => response.end(greeting(request.url))).listen(8080);

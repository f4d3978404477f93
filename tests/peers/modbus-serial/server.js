// A Modbus TCP server made of the npm package modbus-serial: server.js PORT. It holds what peers.py says every peer
// holds; registers from 200 on do not exist, which the package's server tells the client as exception 2.
"use strict";
const { ServerTCP } = require("modbus-serial");

const holding = Buffer.alloc(400);
const input = Buffer.alloc(400);
const swappedWords = (value, write) => {
    const bytes = Buffer.alloc(4);
    bytes[write](value);
    return Buffer.concat([bytes.subarray(2), bytes.subarray(0, 2)]);
};
holding.writeFloatBE(0.1234, 0);
swappedWords(-17.25, "writeFloatBE").copy(holding, 2 * 2);
holding.writeInt16BE(-1234, 2 * 4);
holding.writeDoubleBE(3.141592653589793, 2 * 10);
swappedWords(70000, "writeUInt32BE").copy(input, 2 * 20);
input.writeInt32BE(-2, 2 * 22);
const coils = new Set([3]);
const discretes = new Set([7]);

const word = (buffer) => (address) => {
    if (address >= 200) throw Object.assign(new Error("no such register"), { modbusErrorCode: 2 });
    return buffer.readUInt16BE(2 * address);
};
const registers = {
    getHoldingRegister: word(holding),
    getInputRegister: word(input),
    getCoil: (address) => coils.has(address),
    getDiscreteInput: (address) => discretes.has(address),
};

const server = new ServerTCP(registers, { host: "127.0.0.1", port: Number(process.argv[2]), debug: false, unitID: 1 });
server.on("serverError", (error) => { console.error(error); process.exit(1); });
server.on("socketError", (error) => console.error(error));

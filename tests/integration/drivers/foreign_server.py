"""A Modbus TCP server of python3-pymodbus on a free port; prints the port and serves until standard input ends.

Holding 0..7 hold 123.456 as FLOAT32 in the orders ABCD, CDAB, BADC and DCBA; input 10 holds -1234 as INT16; coils and
discrete inputs n are set where n is a multiple of three. Addresses from 200 on do not exist.
"""
import asyncio
import sys

from pymodbus.constants import Endian
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.payload import BinaryPayloadBuilder
from pymodbus.server.async_io import ModbusTcpServer

ORDERS = [(Endian.Big, Endian.Big), (Endian.Big, Endian.Little), (Endian.Little, Endian.Big),
          (Endian.Little, Endian.Little)]


def holding():
    words = []
    for byte_order, word_order in ORDERS:
        builder = BinaryPayloadBuilder(byteorder=byte_order, wordorder=word_order)
        builder.add_32bit_float(123.456)
        words += builder.to_registers()
    return words + [0] * (200 - len(words))


def inputs():
    builder = BinaryPayloadBuilder(byteorder=Endian.Big, wordorder=Endian.Big)
    builder.add_16bit_int(-1234)
    return [0] * 10 + builder.to_registers() + [0] * 189


async def main():
    bits = [n % 3 == 0 for n in range(200)]
    slave = ModbusSlaveContext(co=ModbusSequentialDataBlock(0, bits), di=ModbusSequentialDataBlock(0, bits),
                               hr=ModbusSequentialDataBlock(0, holding()), ir=ModbusSequentialDataBlock(0, inputs()),
                               zero_mode=True)
    server = ModbusTcpServer(ModbusServerContext(slaves=slave, single=True), address=("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve_forever())
    await server.serving
    print(server.server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    serving.cancel()


if __name__ == "__main__":
    asyncio.run(main())

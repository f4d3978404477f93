"""A Modbus server made of python3-pymodbus alone, its registers encoded by pymodbus's own payload builder.

Usage: pymodbus_peer.py tcp PORT | rtuovertcp PORT | rtu DEVICE. Each line on standard input writes: `KIND ADDRESS TYPE ORDER VALUE`, for example
`holding 0 float32 ABCD 1.5` or `coil 3 bit - 1`; the answer on standard output is `done`.
"""
import sys
import threading

from pymodbus.constants import Endian
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.payload import BinaryPayloadBuilder
from pymodbus.server import StartSerialServer, StartTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer

FUNCTION_CODES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
ORDERS = {"ABCD": (Endian.Big, Endian.Big), "CDAB": (Endian.Big, Endian.Little), "BADC": (Endian.Little, Endian.Big),
          "DCBA": (Endian.Little, Endian.Little)}
ADDERS = {"float32": "add_32bit_float", "int16": "add_16bit_int", "uint16": "add_16bit_uint", "int32": "add_32bit_int",
          "uint32": "add_32bit_uint", "float64": "add_64bit_float"}


def words(kind, order, value):
    byte_order, word_order = ORDERS[order]
    builder = BinaryPayloadBuilder(byteorder=byte_order, wordorder=word_order)
    getattr(builder, ADDERS[kind])(float(value) if kind.startswith("float") else int(value))
    return builder.to_registers()


def obey(slave):
    for line in sys.stdin:
        register, address, kind, order, value = line.split()
        data = [bool(int(value))] if kind == "bit" else words(kind, order, value)
        slave.setValues(FUNCTION_CODES[register], int(address), data)
        print("done", flush=True)


def main():
    blocks = {name: ModbusSequentialDataBlock(0, [0] * 200) for name in ("di", "co", "hr", "ir")}
    slave = ModbusSlaveContext(**blocks, zero_mode=True)
    threading.Thread(target=obey, args=(slave,), daemon=True).start()
    context = ModbusServerContext(slaves=slave, single=True)
    mode, where = sys.argv[1:]
    if mode == "rtu":
        StartSerialServer(context=context, framer=ModbusRtuFramer, port=where, baudrate=115200)
    else:
        framer = ModbusRtuFramer if mode == "rtuovertcp" else ModbusSocketFramer
        StartTcpServer(context=context, framer=framer, address=("127.0.0.1", int(where)), allow_reuse_address=True)


if __name__ == "__main__":
    main()

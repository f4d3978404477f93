/* A Modbus server made of libmodbus's own server calls: libmodbus_server tcp PORT | rtu DEVICE (slave 1, 115200 8N1).
 *
 * It holds what peers.py says every peer holds; registers from 200 on do not exist. Words are written by hand: the float
 * helpers of Debian's build swap bytes. Ends when its line is gone.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(uint16_t* words, int count, uint64_t bits) {
  for (int i = 0; i < count; ++i) words[i] = (uint16_t)(bits >> (16 * (count - 1 - i)));
}

static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint64_t double_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint32_t words_swapped(uint32_t bits) { return bits << 16 | bits >> 16; }

static void fill(modbus_mapping_t* mapping) {
  put(mapping->tab_registers, 2, float_bits(0.1234F));
  put(mapping->tab_registers + 2, 2, words_swapped(float_bits(-17.25F)));
  put(mapping->tab_registers + 4, 1, (uint16_t)-1234);
  put(mapping->tab_registers + 10, 4, double_bits(3.141592653589793));
  put(mapping->tab_input_registers + 20, 2, words_swapped(70000));
  put(mapping->tab_input_registers + 22, 2, (uint32_t)-2);
  mapping->tab_bits[3] = 1;
  mapping->tab_input_bits[7] = 1;
}

/* Until the client has gone or the line is lost. */
static void serve(modbus_t* context, modbus_mapping_t* mapping) {
  uint8_t request[MODBUS_MAX_ADU_LENGTH];
  while (1) {
    const int size = modbus_receive(context, request);
    if (size > 0) {
      modbus_reply(context, request, size, mapping);
    } else if (size < 0 && errno != EMBBADCRC && errno != ETIMEDOUT) {
      return;
    }
  }
}

static int serve_tcp(int port, modbus_mapping_t* mapping) {
  modbus_t* context = modbus_new_tcp("127.0.0.1", port);
  int listener = context == NULL ? -1 : modbus_tcp_listen(context, 1);
  if (listener < 0) return 1;
  while (modbus_tcp_accept(context, &listener) >= 0) {
    serve(context, mapping);
    modbus_close(context);
  }
  return 1;
}

static int serve_rtu(const char* device, modbus_mapping_t* mapping) {
  modbus_t* context = modbus_new_rtu(device, 115200, 'N', 8, 1);
  if (context == NULL || modbus_set_slave(context, 1) != 0 || modbus_connect(context) != 0) return 1;
  serve(context, mapping);
  return 1;
}

int main(int count, char** arguments) {
  if (count != 3) {
    fprintf(stderr, "libmodbus_server tcp PORT | rtu DEVICE\n");
    return 64;
  }
  modbus_mapping_t* mapping = modbus_mapping_new(200, 200, 200, 200);
  if (mapping == NULL) return 70;
  fill(mapping);
  const int code = strcmp(arguments[1], "rtu") == 0 ? serve_rtu(arguments[2], mapping)
                                                    : serve_tcp(atoi(arguments[2]), mapping);
  fprintf(stderr, "libmodbus_server: %s\n", modbus_strerror(errno));
  return code;
}

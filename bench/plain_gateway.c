/* The plainest gateway one can write with the same libraries: libmodbus reads 50 FLOAT32 of each device every 100 ms on a
 * thread per device, paho C publishes them as one JSON message per cycle over mutually authenticated TLS. No twin, no
 * quality, no spool. bench/gateway_load.py measures it beside the daemon.
 *
 * usage: plain_gateway ssl://HOST:PORT PKI_DIRECTORY PORT... */
#include <MQTTAsync.h>
#include <errno.h>
#include <modbus.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kRegisters = 50 };

static MQTTAsync client;
static atomic_int connected;

static void on_connected(void* context, MQTTAsync_successData* data) {
  (void)context;
  (void)data;
  atomic_store(&connected, 1);
}

static void* run_device(void* argument) {
  const int* device = argument; /* {index, port} */
  modbus_t* modbus = modbus_new_tcp("127.0.0.1", device[1]);
  if (modbus == NULL || modbus_set_slave(modbus, 1) != 0 || modbus_connect(modbus) != 0) {
    fprintf(stderr, "device %d: %s\n", device[0], modbus_strerror(errno));
    exit(1);
  }
  char topic[64];
  snprintf(topic, sizeof topic, "plain/bench/%d", device[0]);
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (;;) {
    next.tv_nsec += 100000000;
    if (next.tv_nsec >= 1000000000) {
      next.tv_nsec -= 1000000000;
      ++next.tv_sec;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    uint16_t words[2 * kRegisters];
    if (modbus_read_registers(modbus, 0, 2 * kRegisters, words) != 2 * kRegisters) continue;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    char payload[4096];
    int length = snprintf(payload, sizeof payload, "{\"time_ms\":%lld", (long long)wall.tv_sec * 1000 + wall.tv_nsec / 1000000);
    for (int r = 0; r < kRegisters; ++r) {
      length += snprintf(payload + length, sizeof payload - (size_t)length, ",\"r%d\":%.7g", r,
                         (double)modbus_get_float_abcd(words + 2 * r));
    }
    length += snprintf(payload + length, sizeof payload - (size_t)length, "}");
    MQTTAsync_send(client, topic, length, payload, 1, 0, NULL);
  }
  return NULL;
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s ssl://HOST:PORT PKI_DIRECTORY PORT...\n", argv[0]);
    return 64;
  }
  char ca[512], cert[512], key[512];
  snprintf(ca, sizeof ca, "%s/ca.crt", argv[2]);
  snprintf(cert, sizeof cert, "%s/gateway.crt", argv[2]);
  snprintf(key, sizeof key, "%s/gateway.key", argv[2]);
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  tls.trustStore = ca;
  tls.keyStore = cert;
  tls.privateKey = key;
  tls.verify = 1;
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
  create.maxBufferedMessages = 1000;
  MQTTAsync_createWithOptions(&client, argv[1], "plain-gateway", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
  options.MQTTVersion = MQTTVERSION_3_1_1;
  options.maxInflight = 100;
  options.ssl = &tls;
  options.onSuccess = on_connected;
  if (MQTTAsync_connect(client, &options) != MQTTASYNC_SUCCESS) return 69;
  while (!atomic_load(&connected)) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);

  const int devices = argc - 3;
  int(*arguments)[2] = calloc((size_t)devices, sizeof *arguments);
  pthread_t thread;
  for (int d = 0; d < devices; ++d) {
    arguments[d][0] = d;
    arguments[d][1] = atoi(argv[3 + d]);
    if (pthread_create(&thread, NULL, run_device, arguments[d]) != 0) return 70;
  }
  pthread_join(thread, NULL);
  return 0;
}

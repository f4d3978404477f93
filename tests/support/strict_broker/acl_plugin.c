/* Mosquitto as strict as AWS IoT Core: who may do what, what it costs, and the limits of topics and payloads.
 *
 * Loaded by `plugin acl_plugin.so`, with these options (`plugin_opt_NAME VALUE`):
 *   policy FILE                        required; read again at SIGHUP
 *   denied_connect close|connack       close (default): the socket closes without CONNACK; connack: code 5, or 0x87
 *   denied_publish close|puback|kick   close (default): no PUBACK, the socket closes. Under MQTT 5 alone: puback:
 *                                      reason 0x87, the connection stays; kick: the same, then DISCONNECT 0x98.
 *                                      Under 3.1.1 both close, as 3.1.1 can't refuse
 *   denied_subscribe close|suback      close (default): no SUBACK, the socket closes; suback: 0x80, or 0x87
 *   connect_interval_ms N              CONNECTs of one client id that come sooner after the one before are closed
 *
 * The policy, one rule to a line, default deny; `*` stands for any characters, `?` for one, `+` and `#` for themselves:
 *   # comment
 *   thing COMMON_NAME NAME             the certificate COMMON_NAME stands for NAME (else for its own common name)
 *   for PATTERN                        what follows holds for the names that match (at first: for all)
 *   allow connect|publish|subscribe|receive|retain PATTERN     %c in PATTERN: the name
 *   deny  connect|publish|subscribe|receive|retain PATTERN     goes before every `allow`
 * `allow connect %c` is the rule that the client id is the certificate's; `retain` is needed beside `publish`.
 *
 * Whatever the policy says, these close the connection (MQTT 5: DISCONNECT with the reason in brackets, where Mosquitto
 * has a way to it): more than 7 slashes or 256 bytes of topic, those of `$aws/rules/NAME/` not counted; RETAIN on
 * `$aws/` [0x9A]; more than 131072 bytes of payload; more than 8 filters in a SUBSCRIBE; more than 50 subscriptions.
 * Every refusal is one line of the broker's log that begins with `strict: `.
 *
 * The broker is single-threaded and so is this. Source: notes on AWS IoT Core's documentation in README.md beside it.
 */
#include <errno.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { max_rules = 256, max_things = 64, max_text = 300, max_clients = 64 };
enum {
  most_slashes = 7,
  most_topic_bytes = 256,
  most_payload_bytes = 131072,
  most_filters = 8,
  most_subscriptions = 50
};

struct rule {
  char names[max_text];
  bool allows;
  char action[16];
  char pattern[max_text];
};

struct thing {
  char common_name[max_text];
  char name[max_text];
};

struct client {
  char id[max_text];
  long long connected_ms;
};

enum reaction { reaction_close, reaction_answer, reaction_kick };

static struct {
  char policy[1024];
  struct rule rules[max_rules];
  int rule_count;
  struct thing things[max_things];
  int thing_count;
  enum reaction denied_connect;
  enum reaction denied_publish;
  enum reaction denied_subscribe;
  long long connect_interval_ms;
  struct client clients[max_clients];  /* when each client id sent its last CONNECT; the oldest makes room */
  char kicked[max_text];               /* client id to be disconnected at the next tick */
  const struct mosquitto* subscribing; /* whose SUBSCRIBE is being looked at, and how many filters of it were */
  int filters;
} state;

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Pattern against text; `%c` in the pattern is the name. */
static bool matches(const char* pattern, const char* text, const char* name) {
  for (; *pattern != '\0'; ++pattern) {
    if (*pattern == '*') {
      for (;; ++text) {
        if (matches(pattern + 1, text, name)) return true;
        if (*text == '\0') return false;
      }
    }
    if (pattern[0] == '%' && pattern[1] == 'c') {
      const size_t length = strlen(name);
      if (strncmp(text, name, length) != 0) return false;
      text += length;
      ++pattern;
      continue;
    }
    if (*text == '\0' || (*pattern != '?' && *pattern != *text)) return false;
    ++text;
  }
  return *text == '\0';
}

static bool allowed(const char* name, const char* action, const char* text) {
  bool found = false;
  for (int i = 0; i < state.rule_count; ++i) {
    const struct rule* rule = &state.rules[i];
    if (strcmp(rule->action, action) == 0 && matches(rule->names, name, name) && matches(rule->pattern, text, name)) {
      if (!rule->allows) return false;
      found = true;
    }
  }
  return found;
}

/* Policy file ------------------------------------------------------------------------------------------------------ */

static bool known_action(const char* action) {
  static const char* const known[] = {"connect", "publish", "subscribe", "receive", "retain"};
  for (size_t i = 0; i < sizeof known / sizeof *known; ++i)
    if (strcmp(action, known[i]) == 0) return true;
  return false;
}

/* One line; `names` is the pattern of the last `for`. False: what was not understood. */
static bool read_rule(char* line, char* names) {
  char* rest = NULL;
  const char* word = strtok_r(line, " \t\r\n", &rest);
  const char* first = strtok_r(NULL, " \t\r\n", &rest);
  const char* second = strtok_r(NULL, " \t\r\n", &rest);
  const bool over = strtok_r(NULL, " \t\r\n", &rest) == NULL;
  if (word == NULL || word[0] == '#') return true;
  if (first == NULL || strlen(first) >= max_text || (second != NULL && strlen(second) >= max_text)) return false;
  if (strcmp(word, "for") == 0 && second == NULL) {
    strcpy(names, first);
    return true;
  }
  if (second == NULL || !over) return false;
  if (strcmp(word, "thing") == 0 && state.thing_count < max_things) {
    struct thing* thing = &state.things[state.thing_count++];
    strcpy(thing->common_name, first);
    strcpy(thing->name, second);
    return true;
  }
  const bool allows = strcmp(word, "allow") == 0;
  if ((allows || strcmp(word, "deny") == 0) && known_action(first) && state.rule_count < max_rules) {
    struct rule* rule = &state.rules[state.rule_count++];
    strcpy(rule->names, names);
    rule->allows = allows;
    strcpy(rule->action, first);
    strcpy(rule->pattern, second);
    return true;
  }
  return false;
}

static int read_policy(void) {
  FILE* file = fopen(state.policy, "r");
  if (file == NULL) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "strict: policy %s: %s", state.policy, strerror(errno));
    return MOSQ_ERR_ERRNO;
  }
  state.rule_count = 0;
  state.thing_count = 0;
  char names[max_text] = "*";
  char line[1024];
  int result = MOSQ_ERR_SUCCESS;
  for (int number = 1; fgets(line, sizeof line, file) != NULL; ++number) {
    if (!read_rule(line, names)) {
      mosquitto_log_printf(MOSQ_LOG_ERR,
                           "strict: %s:%d: not understood; `thing CN NAME`, `for PATTERN` and `allow|deny "
                           "connect|publish|subscribe|receive|retain PATTERN` are",
                           state.policy, number);
      result = MOSQ_ERR_INVAL;
    }
  }
  fclose(file);
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "strict: policy read, %d rules", state.rule_count);
  return result;
}

/* Who it is -------------------------------------------------------------------------------------------------------- */

/* The name that the client's certificate stands for; false without certificate. */
static bool name_of_certificate(const struct mosquitto* client, char* name) {
  X509* certificate = mosquitto_client_certificate(client);
  if (certificate == NULL) return false;
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, max_text);
  X509_free(certificate);
  if (length <= 0) return false;
  for (int i = 0; i < state.thing_count; ++i) {
    if (strcmp(state.things[i].common_name, name) == 0) {
      strcpy(name, state.things[i].name);
      break;
    }
  }
  return true;
}

/* Whether this client id may connect now; remembers that it tried. */
static bool connects_too_often(const char* id) {
  struct client* place = &state.clients[0];
  for (int i = 0; i < max_clients; ++i) {
    struct client* candidate = &state.clients[i];
    if (strcmp(candidate->id, id) == 0) {
      place = candidate;
      break;
    }
    if (candidate->connected_ms < place->connected_ms) place = candidate;
  }
  const long long now = now_ms();
  const bool known = strcmp(place->id, id) == 0;
  const bool too_often = known && now - place->connected_ms < state.connect_interval_ms;
  snprintf(place->id, sizeof place->id, "%s", id);
  place->connected_ms = now;
  return too_often;
}

static int on_connect(int event, void* data, void* user_data) {
  (void)event;
  (void)user_data;
  struct mosquitto_evt_basic_auth* connect = data;
  const char* id = mosquitto_client_id(connect->client);
  if (id == NULL) id = "";
  if (state.connect_interval_ms > 0 && connects_too_often(id)) {
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "strict: closed %s: connects too often", id);
    return MOSQ_ERR_CONN_REFUSED;
  }
  char name[max_text] = "";
  const bool has_certificate = name_of_certificate(connect->client, name);
  if (!has_certificate || id[0] == '$' || strlen(id) > 128 || !allowed(name, "connect", id)) {
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "strict: refused %s: connect as %s with the certificate of %s", id, id,
                         has_certificate ? name : "nobody");
    return state.denied_connect == reaction_answer ? MOSQ_ERR_AUTH : MOSQ_ERR_CONN_REFUSED;
  }
  return mosquitto_set_username(connect->client, name);
}

/* What it does ----------------------------------------------------------------------------------------------------- */

/* What counts of a topic against the limits: Basic Ingest's first three levels do not. */
static const char* counted_part(const char* topic) {
  static const char rules[] = "$aws/rules/";
  if (strncmp(topic, rules, sizeof rules - 1) != 0) return topic;
  const char* rest = strchr(topic + sizeof rules - 1, '/');
  return rest == NULL ? topic : rest + 1;
}

static const char* fault_of_topic(const char* topic) {
  const char* counted = counted_part(topic);
  int slashes = 0;
  for (const char* c = counted; *c != '\0'; ++c)
    if (*c == '/') ++slashes;
  if (slashes > most_slashes) return "more than 7 slashes";
  if (strlen(counted) > most_topic_bytes) return "more than 256 bytes of topic";
  return NULL;
}

static int close_connection(const char* id, const char* what, const char* topic, const char* why, int code) {
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "strict: closed %s: %s %s: %s", id, what, topic, why);
  return code;
}

static int on_publish(const struct mosquitto_evt_acl_check* check, const char* id, const char* name) {
  const char* fault = fault_of_topic(check->topic);
  if (fault != NULL) return close_connection(id, "publish", check->topic, fault, MOSQ_ERR_AUTH);
  if (check->payloadlen > most_payload_bytes)
    return close_connection(id, "publish", check->topic, "more than 131072 bytes of payload", MOSQ_ERR_AUTH);
  if (check->retain && strncmp(check->topic, "$aws/", 5) == 0)
    return close_connection(id, "publish", check->topic, "retained on a reserved topic", MOSQ_ERR_RETAIN_NOT_SUPPORTED);
  if (allowed(name, "publish", check->topic) && (!check->retain || allowed(name, "retain", check->topic)))
    return MOSQ_ERR_SUCCESS;
  const bool version_5 = mosquitto_client_protocol_version(check->client) == 5;
  if (!version_5 || state.denied_publish == reaction_close)
    return close_connection(id, "publish", check->topic, "denied by the policy", MOSQ_ERR_AUTH);
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "strict: refused %s: publish %s: denied by the policy", id, check->topic);
  if (state.denied_publish == reaction_kick) snprintf(state.kicked, sizeof state.kicked, "%s", id);
  return MOSQ_ERR_ACL_DENIED;
}

static int on_subscribe(const struct mosquitto_evt_acl_check* check, const char* id, const char* name) {
  /* Mosquitto reads at most one packet of a client in a turn of its loop, which ends with a tick. */
  if (state.subscribing != check->client) state.filters = 0;
  state.subscribing = check->client;
  if (++state.filters > most_filters)
    return close_connection(id, "subscribe", check->topic, "more than 8 filters in one packet", MOSQ_ERR_AUTH);
  if (mosquitto_client_sub_count(check->client) >= most_subscriptions)
    return close_connection(id, "subscribe", check->topic, "more than 50 subscriptions", MOSQ_ERR_AUTH);
  const char* fault = fault_of_topic(check->topic);
  if (fault != NULL) return close_connection(id, "subscribe", check->topic, fault, MOSQ_ERR_AUTH);
  if (allowed(name, "subscribe", check->topic)) return MOSQ_ERR_SUCCESS;
  if (state.denied_subscribe == reaction_close)
    return close_connection(id, "subscribe", check->topic, "denied by the policy", MOSQ_ERR_AUTH);
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "strict: refused %s: subscribe %s: denied by the policy", id, check->topic);
  return MOSQ_ERR_ACL_DENIED;
}

static int on_access(int event, void* data, void* user_data) {
  (void)event;
  (void)user_data;
  const struct mosquitto_evt_acl_check* check = data;
  const char* id = mosquitto_client_id(check->client);
  const char* name = mosquitto_client_username(check->client);
  if (id == NULL || name == NULL) return MOSQ_ERR_ACL_DENIED;
  switch (check->access) {
    case MOSQ_ACL_WRITE: return on_publish(check, id, name);
    case MOSQ_ACL_SUBSCRIBE: return on_subscribe(check, id, name);
    case MOSQ_ACL_READ: return allowed(name, "receive", check->topic) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
    default: return MOSQ_ERR_SUCCESS;
  }
}

static int on_tick(int event, void* data, void* user_data) {
  (void)event;
  (void)data;
  (void)user_data;
  state.subscribing = NULL;
  if (state.kicked[0] != '\0') {
    mosquitto_kick_client_by_clientid(state.kicked, true);
    state.kicked[0] = '\0';
  }
  return MOSQ_ERR_SUCCESS;
}

static int on_reload(int event, void* data, void* user_data) {
  (void)event;
  (void)data;
  (void)user_data;
  return read_policy();
}

/* Loading ---------------------------------------------------------------------------------------------------------- */

static bool read_reaction(const char* value, const char* answer, bool kick, enum reaction* reaction) {
  if (strcmp(value, "close") == 0) {
    *reaction = reaction_close;
  } else if (strcmp(value, answer) == 0) {
    *reaction = reaction_answer;
  } else if (kick && strcmp(value, "kick") == 0) {
    *reaction = reaction_kick;
  } else {
    return false;
  }
  return true;
}

static bool read_option(const char* key, const char* value) {
  if (strcmp(key, "policy") == 0)
    return snprintf(state.policy, sizeof state.policy, "%s", value) < (int)sizeof state.policy;
  if (strcmp(key, "denied_connect") == 0) return read_reaction(value, "connack", false, &state.denied_connect);
  if (strcmp(key, "denied_publish") == 0) return read_reaction(value, "puback", true, &state.denied_publish);
  if (strcmp(key, "denied_subscribe") == 0) return read_reaction(value, "suback", false, &state.denied_subscribe);
  if (strcmp(key, "connect_interval_ms") == 0) {
    char* end = NULL;
    state.connect_interval_ms = strtoll(value, &end, 10);
    return end != value && *end == '\0' && state.connect_interval_ms >= 0;
  }
  return false;
}

int mosquitto_plugin_version(int supported_version_count, const int* supported_versions) {
  for (int i = 0; i < supported_version_count; ++i)
    if (supported_versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
  return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t* identifier, void** userdata, struct mosquitto_opt* options,
                          int option_count) {
  *userdata = NULL;
  for (int i = 0; i < option_count; ++i) {
    if (!read_option(options[i].key, options[i].value)) {
      mosquitto_log_printf(MOSQ_LOG_ERR, "strict: plugin_opt_%s %s is not understood", options[i].key,
                           options[i].value);
      return MOSQ_ERR_INVAL;
    }
  }
  const int result = read_policy();
  if (result != MOSQ_ERR_SUCCESS) return result;
  static const struct {
    int event;
    MOSQ_FUNC_generic_callback callback;
  } wanted[] = {{MOSQ_EVT_BASIC_AUTH, on_connect},
                {MOSQ_EVT_ACL_CHECK, on_access},
                {MOSQ_EVT_TICK, on_tick},
                {MOSQ_EVT_RELOAD, on_reload}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
    const int code = mosquitto_callback_register(identifier, wanted[i].event, wanted[i].callback, NULL, NULL);
    if (code != MOSQ_ERR_SUCCESS) return code;
  }
  return MOSQ_ERR_SUCCESS;
}

/* The broker drops what was registered together with the plugin. */
int mosquitto_plugin_cleanup(void* userdata, struct mosquitto_opt* options, int option_count) {
  (void)userdata;
  (void)options;
  (void)option_count;
  return MOSQ_ERR_SUCCESS;
}

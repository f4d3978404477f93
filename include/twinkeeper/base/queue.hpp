// Bounded hand-over between exactly one producing and one consuming thread. No lock, no wait.
//
// BoundedQueue<T>     moves values; a full queue refuses the newest value, counts it, and never makes the producer wait.
// RecyclingQueue<T>   lends out records, so that those with vectors inside (a twin step, a device snapshot) cross
//                     threads without allocation: the producer asks for a free record, fills it and sends it; the
//                     consumer receives it and gives it back. A record is built when none is free, up to the capacity:
//                     memory follows the longest stall of the consumer, not the longest that is allowed.
// SpscRing<T>         what both stand on: a ring of acquire/release indices (docs/decisions/0007-queues.md).
// Thread rule: one thread calls the producer's functions, one the consumer's. Counters may be read from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace twinkeeper::base {

// The ring both queues stand on. The indices only grow; a slot belongs to the producer until its store-release of tail_,
// to the consumer from its load-acquire of tail_ until its store-release of head_.
template <class T>
class SpscRing {
 public:
  explicit SpscRing(std::size_t capacity) : slots_(capacity > 0 ? capacity : 1) {}

  bool try_enqueue(T value) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) >= slots_.size()) return false;
    slot(tail) = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  [[nodiscard]] T* peek() {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    return head == tail_.load(std::memory_order_acquire) ? nullptr : &slot(head);
  }
  void pop() { head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
  bool try_dequeue(T& value) {
    T* front = peek();
    if (front == nullptr) return false;
    value = std::move(*front);
    pop();
    return true;
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }
  [[nodiscard]] std::size_t size_approx() const {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);  // first: tail never falls behind it
    return static_cast<std::size_t>(tail_.load(std::memory_order_relaxed) - head);
  }

 private:
  [[nodiscard]] T& slot(std::uint64_t index) { return slots_[static_cast<std::size_t>(index % slots_.size())]; }

  std::vector<T> slots_;
  alignas(64) std::atomic<std::uint64_t> head_{0};
  alignas(64) std::atomic<std::uint64_t> tail_{0};
};

template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : queue_(capacity) {}

  // Producer. False: the queue was full, the value is dropped and counted.
  bool try_push(T value) {
    if (queue_.try_enqueue(std::move(value))) return true;
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  // Producer: whether try_push would refuse.
  [[nodiscard]] bool full() const { return queue_.size_approx() >= queue_.capacity(); }
  // Consumer.
  bool try_pop(T& value) { return queue_.try_dequeue(value); }
  // Consumer: the oldest value, still in the queue, or nullptr; pop() takes it off.
  [[nodiscard]] T* peek() { return queue_.peek(); }
  void pop() { queue_.pop(); }

  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t size_approx() const { return queue_.size_approx(); }

 private:
  SpscRing<T> queue_;
  std::atomic<std::uint64_t> dropped_{0};
};

template <class T>
class RecyclingQueue {
 public:
  RecyclingQueue(std::size_t capacity, std::function<T()> build)
      : build_(std::move(build)), free_(capacity), filled_(capacity) {}

  // Producer: a record to fill, or nullptr (counted) when the consumer has left `capacity` of them in the queue.
  T* try_acquire() {
    T* record = nullptr;
    if (free_.try_dequeue(record)) return record;
    if (records_.size() < filled_.capacity()) {
      records_.push_back(std::make_unique<T>(build_()));
      return records_.back().get();
    }
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  // Producer: hands the acquired record over.
  void send(T* record) { filled_.try_enqueue(record); }

  // Consumer: the oldest record, or nullptr. Give it back with recycle().
  T* try_receive() {
    T* record = nullptr;
    return filled_.try_dequeue(record) ? record : nullptr;
  }
  void recycle(T* record) { free_.try_enqueue(record); }

  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const std::function<T()> build_;
  std::vector<std::unique_ptr<T>> records_;  // the producer's
  SpscRing<T*> free_;
  SpscRing<T*> filled_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace twinkeeper::base

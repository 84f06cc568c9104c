#include "topology/place_text.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/parse_number.hpp"

#include <utility>

namespace tessera::topology {
namespace {

constexpr char kEnd = '\t';  // of a field; names of hosts and cards have no tabs

class Writer {
 public:
  Writer& put(std::string_view text) {
    text_.append(text).push_back(kEnd);
    return *this;
  }
  Writer& put(std::int64_t number) { return put(std::to_string(number)); }
  Writer& put(const Cores& cores) { return put(to_ranges(cores)); }
  Writer& put(const GpuPlace& gpu) {
    return put(gpu.index).put(gpu.name).put(gpu.uuid).put(gpu.pci).put(gpu.memory).put(gpu.cores).put(gpu.numa);
  }
  Writer& put(const NetworkCard& card) { return put(card.name).put(card.numa); }
  template <class T>
  Writer& put_all(const std::vector<T>& items) {
    put(static_cast<std::int64_t>(items.size()));
    for (const T& item : items) {
      put(item);
    }
    return *this;
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void get(std::string& text) { text = next(); }
  void get(std::int64_t& number) { number = parse<std::int64_t>(); }
  void get(int& number) { number = parse<int>(); }
  void get(Cores& cores) { cores = parse_cores(next()); }
  void get(GpuPlace& gpu) { get_each(gpu.index, gpu.name, gpu.uuid, gpu.pci, gpu.memory, gpu.cores, gpu.numa); }
  void get(NetworkCard& card) { get_each(card.name, card.numa); }
  template <class... T>
  void get_each(T&... items) {
    (get(items), ...);
  }
  template <class T>
  void get_all(std::vector<T>& items) {
    for (int count = parse<int>(); count > 0; --count) {
      get(items.emplace_back());
    }
  }

 private:
  std::string_view next() {
    const std::size_t end = rest_.find(kEnd);
    core::require(end != std::string_view::npos, "topology", "a rank's description of its place breaks off");
    const std::string_view field = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return field;
  }
  template <class T>
  T parse() {
    const std::string_view field = next();
    const auto number = core::parse_number<T>(field);
    core::require(number.has_value(), "topology", "'{}' in a rank's description of its place is no number", field);
    return *number;
  }

  std::string_view rest_;
};

}  // namespace

std::string encode(const GpuChoice& choice) { return Writer().put(choice.cores).put_all(choice.gpus).take(); }

std::string encode(const Place& place) {
  const std::vector<GpuPlace> gpus = place.gpu ? std::vector{*place.gpu} : std::vector<GpuPlace>{};
  return Writer()
      .put(place.host)
      .put(place.node)
      .put(place.local_rank)
      .put(place.cores)
      .put(place.numa)
      .put_all(gpus)
      .take();
}

std::string encode(const NodeFacts& facts) {
  return Writer()
      .put(facts.host)
      .put(facts.num_cores)
      .put(facts.num_numa_nodes)
      .put_all(facts.network_cards)
      .put_all(facts.gpus)
      .take();
}

GpuChoice decode_choice(std::string_view text) {
  GpuChoice choice;
  Reader reader(text);
  reader.get(choice.cores);
  reader.get_all(choice.gpus);
  return choice;
}

Place decode_place(std::string_view text) {
  Place place;
  std::vector<GpuPlace> gpus;
  Reader reader(text);
  reader.get_each(place.host, place.node, place.local_rank, place.cores, place.numa);
  reader.get_all(gpus);
  if (!gpus.empty()) {
    place.gpu = gpus.front();
  }
  return place;
}

NodeFacts decode_facts(std::string_view text) {
  NodeFacts facts;
  Reader reader(text);
  reader.get_each(facts.host, facts.num_cores, facts.num_numa_nodes);
  reader.get_all(facts.network_cards);
  reader.get_all(facts.gpus);
  return facts;
}

}  // namespace tessera::topology

package judges;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;

/**
 * Avro values as JSON: bytes and fixed are {"bytes": base64}; floats that JSON lacks are {"float": "nan" | "inf" |
 * "-inf"}; a branch of a union is its value. (Avro's own JSON encoding names the branch and writes bytes as text.)
 */
final class PlainJson {
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

  private PlainJson() {}

  static JsonNode of(Object value) {
    if (value == null) {
      return NODES.nullNode();
    } else if (value instanceof IndexedRecord record) {
      ObjectNode node = NODES.objectNode();
      for (Schema.Field field : record.getSchema().getFields()) {
        node.set(field.name(), of(record.get(field.pos())));
      }
      return node;
    } else if (value instanceof Collection<?> items) {
      ArrayNode node = NODES.arrayNode();
      items.forEach(item -> node.add(of(item)));
      return node;
    } else if (value instanceof Map<?, ?> map) {
      ObjectNode node = NODES.objectNode();
      map.forEach((key, item) -> node.set(key.toString(), of(item)));
      return node;
    } else if (value instanceof ByteBuffer buffer) {
      byte[] bytes = new byte[buffer.remaining()];
      buffer.duplicate().get(bytes);
      return bytes(bytes);
    } else if (value instanceof GenericFixed fixed) {
      return bytes(fixed.bytes());
    }
    return ofScalar(value);
  }

  private static JsonNode ofScalar(Object value) {
    if (value instanceof Boolean truth) {
      return NODES.booleanNode(truth);
    } else if (value instanceof Integer number) {
      return NODES.numberNode(number);
    } else if (value instanceof Long number) {
      return NODES.numberNode(number);
    } else if (value instanceof Float || value instanceof Double) {
      return ofFloat(((Number) value).doubleValue());
    }
    // CharSequence and enum symbols.
    return NODES.textNode(value.toString());
  }

  private static JsonNode ofFloat(double number) {
    if (Double.isFinite(number)) {
      return NODES.numberNode(number);
    }
    return NODES.objectNode().put("float", Double.toString(number).toLowerCase(Locale.ROOT).replace("infinity", "inf"));
  }

  private static JsonNode bytes(byte[] bytes) {
    // Jackson writes binary nodes as base64.
    return NODES.objectNode().set("bytes", NODES.binaryNode(bytes));
  }
}

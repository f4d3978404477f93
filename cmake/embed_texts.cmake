# cmake -DOUTPUT=x.cpp -DHEADER=y.hpp -DNAMESPACE=n -DNAMES="kA;kB" -DFILES="a;b" -P embed_texts.cmake
# Writes OUTPUT with one constant per file: std::string_view NAMES[i] with the text of FILES[i], declared in HEADER.
set(text "#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n\n")
foreach(name file IN ZIP_LISTS NAMES FILES)
  file(READ "${file}" content)
  string(APPEND text "const std::string_view ${name} = R\"~embedded~(${content})~embedded~\";\n\n")
endforeach()
string(APPEND text "}  // namespace ${NAMESPACE}\n")
file(WRITE "${OUTPUT}" "${text}")

// What the Android app's build needs in place of LiteRT. The version is that of the converter which wrote the .pte file.
dependencies {
    implementation("org.pytorch:executorch-android:1.5.1")
}

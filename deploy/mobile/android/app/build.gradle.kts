plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.compose)
}

fun setting(name: String): String = "\"" + providers.gradleProperty(name).getOrElse("") + "\""

android {
    namespace = "org.cvprod.inspector"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.cvprod.inspector"
        minSdk = 33
        targetSdk = 36
        versionCode = 1
        versionName = "1.0.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        buildConfigField("String", "CHANNEL", setting("inspector.channel"))
        buildConfigField("String", "PUBLIC_KEY", setting("inspector.publicKey"))
    }

    buildFeatures {
        buildConfig = true
        compose = true
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
        }
    }

    // The vectors are the health check of every model, so they travel in the app.
    sourceSets["main"].assets.directories += "../../vectors"

    androidResources {
        noCompress += "tflite" // mapped into memory as it lies in the package
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.activity.compose)
    implementation(libs.camera.camera2)
    implementation(libs.camera.lifecycle)
    implementation(libs.camera.view)
    implementation(platform(libs.compose.bom))
    implementation(libs.compose.material3)
    implementation(libs.compose.ui)
    implementation(libs.coroutines.android)
    implementation(libs.lifecycle.runtime.compose)
    implementation(libs.lifecycle.viewmodel.compose)
    implementation(libs.litert)
    implementation(libs.litert.gpu) // since 2.3 the GPU accelerator is an artifact of its own
    implementation(libs.serialization.json)

    testImplementation(libs.junit)

    androidTestImplementation(platform(libs.compose.bom))
    androidTestImplementation(libs.compose.test.junit4)
    androidTestImplementation(libs.test.ext.junit)
    androidTestImplementation(libs.test.runner)
    debugImplementation(libs.compose.test.manifest)
}
